#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/catalog.h"
#include "backup/recovery.h"
#include "backup/restored_folder.h"

namespace penstock::backup {

/// A tablespace and where it will be: "<into>.tablespaces/<oid>", never where the server has it.
struct RestoredTablespace {
    std::string oid;
    std::string was_at;
    std::filesystem::path into;
};

/// What a restore is going to do.
struct RestorePlan {
    BackupRecord record;
    std::vector<BackupRecord> parents;  ///< what it is built on, the full one first
    std::filesystem::path into;         ///< absolute
    std::vector<RestoredTablespace> tablespaces;
    uint64_t bytes = 0;       ///< needed
    uint64_t free_bytes = 0;  ///< there
    FolderWriter::Owner owner{};
    std::optional<Recovery> recovery;  ///< what comes behind the backup
    std::string restore_command;       ///< by which the restored server gets the log
    /// `into` holds the whole of this backup already, from a restore that was killed behind its last step but one.
    bool done = false;
};

/// Looks at the folder and its disk (`restore_command` is the plan's), and writes nothing. An error where the folder holds anything (but for what a killed restore
/// left, which is removed when the next one begins), or the disk is too small.
Result<RestorePlan> plan_restore(RecoveryPlan wanted, const std::filesystem::path& into);

/// Restores into the plan's folders, ready for `postgres -D`. Every file is compared with the server's manifest; only then
/// comes the control file, without which no server starts, so what a kill leaves cannot be taken for a server. Recovery goes on a
/// new timeline, with archive_mode off and no primary: whatever the server's own settings say, nothing is written into its
/// archive and no standby connects to it.
Status restore(const Catalog& catalog, const RestorePlan& plan, unsigned threads, const std::stop_token& stop);

}  // namespace penstock::backup
