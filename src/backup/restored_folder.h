#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/incremental_file.h"
#include "backup/tar.h"
#include "base/error.h"

namespace penstock::backup {

/// The name that the control file has until everything else is there: PostgreSQL starts nothing without the real one.
inline constexpr std::string_view held_control_file = "global/pg_control.restoring";
/// Says of a folder that a restore is filling it, and which.
inline constexpr std::string_view restore_mark = "penstock_restore.json";

/// Writes the members of an archive below a folder, with their permissions; incremental ones into the files that are there. As
/// root, everything belongs to `owner`.
class FolderWriter : public TarTaker {
  public:
    struct Owner {
        uid_t user;
        gid_t group;
    };

    /// `replaced`: the content that some files get instead of their own. `incremental`: of a backup that has changes only.
    FolderWriter(std::filesystem::path root, Owner owner, std::map<std::string, std::string> replaced = {},
                 bool incremental = false)
        : root_(std::move(root)), owner_(owner), replaced_(std::move(replaced)), incremental_(incremental) {}
    ~FolderWriter() override;
    FolderWriter(const FolderWriter&) = delete;
    FolderWriter& operator=(const FolderWriter&) = delete;

    Status begin(const TarEntry& entry) override;
    Status content(std::string_view bytes) override;
    Status end() override;

    /// Those that the archive has.
    std::set<std::filesystem::path> folders() { return std::move(folders_); }

  private:
    Status make_folders(const std::filesystem::path& folder, unsigned mode);

    std::filesystem::path root_;
    Owner owner_;
    std::map<std::string, std::string> replaced_;
    bool incremental_;
    std::filesystem::path path_;
    std::set<std::filesystem::path> folders_;
    std::optional<IncrementalFile> changes_;  ///< the member is one
    bool replaces_ = false;
    int out_ = -1;
};

/// Makes a folder and what is missing above it; an empty one that is there will do.
Status make_private_folder(const std::filesystem::path& folder, FolderWriter::Owner owner);
/// Its content; "" where it cannot be read.
std::string read_small_file(const std::filesystem::path& file);
/// Writes a small file whole, flushed; `mode` 0600.
Status write_small_file(const std::filesystem::path& file, std::string_view content, FolderWriter::Owner owner);
/// Everything written to the file system of this folder is on its disk.
Status flush_file_system(const std::filesystem::path& folder);

}  // namespace penstock::backup
