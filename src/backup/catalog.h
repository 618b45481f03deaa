#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backup/key.h"
#include "base/clock.h"
#include "base/error.h"

namespace penstock::io {
class ObjectStore;
}

namespace penstock::backup {

/// A stretch of bytes that is stored in parts: a tablespace as tar ("base", "16400"), the server's "manifest", and "files": a
/// line of JSON for each file, which tells where in an archive it is.
struct ArchiveRecord {
    std::string name;
    std::string location;  ///< of a tablespace on the server
    uint64_t bytes = 0;
    uint64_t stored_bytes = 0;
    uint64_t parts = 0;
};

/// A backup as its catalog entry describes it.
struct BackupRecord {
    std::string id;
    std::string name;         ///< of the configuration
    std::string parent = {};  ///< the backup that this one has the changes since; "" of a full one
    std::string system_identifier;
    int server_version = 0;  ///< 150018
    uint32_t start_timeline = 0;
    uint32_t end_timeline = 0;
    std::string start_lsn;
    std::string end_lsn;  ///< restored, the server is as it was here
    TimePoint started_at;
    TimePoint ended_at;
    uint64_t files = 0;
    std::vector<ArchiveRecord> archives;
    /// What the server's configuration files set, where they are not among its data (Debian): to start without them.
    std::map<std::string, std::string> settings;
    std::string data_checksums = {};  ///< "on", "off"; "" of older entries
    Key key = Key::random();          ///< of its parts

    std::string_view kind() const;  ///< "full", "incremental"
    uint64_t bytes() const;
    uint64_t stored_bytes() const;
    const ArchiveRecord* archive(const std::string& archive) const;
    /// "parts/<id>/base/000017"
    std::string part_name(const std::string& archive, uint64_t number) const;
};

/// The backups of one place in a store, known by the store alone:
///
///     catalog/<id>.json            put last: without it there is no backup, whatever else lies there
///     parts/<id>/<archive>/000000  compressed and sealed
///     wal/                         the server's log (wal_store.h)
///
/// Any thread.
class Catalog {
  public:
    /// `folder` ends with a slash, or is "".
    Catalog(std::shared_ptr<io::ObjectStore> store, std::string folder, Key key)
        : store_(std::move(store)), folder_(std::move(folder)), key_(std::move(key)) {}

    /// An entry that cannot be read is an error in its place: code `backup_damaged`, or `wrong_backup_key`.
    struct Entry {
        std::string id;
        Result<BackupRecord> record;
    };
    /// Oldest first.
    Result<std::vector<Entry>> list() const;

    /// The only one whose id begins so; the one that ended last where `id` is "". What is damaged is an error, and never passed over: an older
    /// state is not restored unasked.
    Result<BackupRecord> find(const std::string& id) const;

    /// What an incremental backup is built on, the full one first; nothing of a full one. Where one of them is missing or
    /// damaged, the backup cannot be restored: code `backup_chain_broken`.
    Result<std::vector<BackupRecord>> parents(const BackupRecord& record) const;

    Status put(const BackupRecord& record) const;
    std::string url(const std::string& name) const;
    io::ObjectStore& store() const { return *store_; }
    /// The store's name of what is named below the folder.
    std::string path(const std::string& name) const { return folder_ + name; }
    /// The configured one.
    const Key& key() const { return key_; }

  private:
    Result<BackupRecord> load(const std::string& id) const;

    std::shared_ptr<io::ObjectStore> store_;
    std::string folder_;
    Key key_;
};

}  // namespace penstock::backup
