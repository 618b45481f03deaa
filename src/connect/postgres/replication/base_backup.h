#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

struct BaseBackupRequest {
    std::string label;
    /// Keeps the log that the backup needs until the session ends: a temporary physical slot of this name.
    std::string slot;
    /// Of the backup that this one is to hold the changes since; "" of a full one. Needs 17 or later with summarize_wal.
    std::string_view manifest_before = {};
};

/// A tablespace as the server announces it; the main one has no oid.
struct BaseBackupArchive {
    std::string name;      ///< "base", "16400"
    std::string location;  ///< on the server; "" of the main one
    int64_t bytes = -1;    ///< estimated
};

/// Where the log must be replayed from or to for the files to be one state.
struct BackupBound {
    Lsn at;
    uint32_t timeline = 0;
};

/// Takes a base backup as it comes: begin(), for each archive begin_archive() and its data(), then begin_manifest() and its
/// data(). An error ends the backup.
class BaseBackupTaker {
  public:
    virtual ~BaseBackupTaker() = default;
    virtual Status begin(const BackupBound& start, const std::vector<BaseBackupArchive>& archives) = 0;
    virtual Status begin_archive(const std::string& name) = 0;  ///< a tar archive
    virtual Status begin_manifest() = 0;                        ///< backup_manifest, whose checksums are SHA-256
    virtual Status data(std::string_view bytes) = 0;
};

/// BASE_BACKUP over a session of Channel::replication (PostgreSQL documentation, "Streaming Replication Protocol"): all files of
/// the server, the log that makes them consistent among them, and the manifest; files as the server sees them come with
/// checksums of pages verified, where it has any. The server is 15 or later: before that the protocol was another one. Returns
/// where the backup ends. Waits for a checkpoint, which the server is asked to do at once. A stop cancels it.
Result<BackupBound> base_backup(Session& session, const BaseBackupRequest& request, BaseBackupTaker& taker,
                                std::stop_token stop);

}  // namespace penstock::postgres
