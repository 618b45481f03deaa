#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/notify.h"
#include "config/times.h"
#include "config/values.h"

namespace penstock::config {

/// `store:` of a backup: where its objects are, and the key that they are encrypted with.
struct BackupStore {
    Text connection;
    Text path;
    Located<Secret> encrypt;
};

/// `wal:` of a backup: the server's log between the backups.
struct BackupWal {
    bool stream = true;
    Text slot;  ///< "" for one named after the backup
    std::chrono::microseconds interval = std::chrono::seconds(10);
};

/// `keep:` of a backup: what `penstock backup prune` leaves.
struct BackupKeep {
    std::optional<int64_t> days;
    std::optional<int64_t> full;
};

/// `drill:` of a backup: what `penstock backup drill` asks of the server that it restores.
struct BackupDrill : Times {
    std::vector<Text> queries;
    std::vector<Text> verify;  ///< pipelines
    Text database;             ///< that the queries are asked in; "" for the connection's
    FilePath folder;           ///< that the server is restored below; empty for /var/tmp
    FilePath programs;         ///< with `postgres` in it; empty for where the system has them
    std::vector<Text> libraries;
};

/// How much a server matters, in times that others go by.
enum class RecoveryTier { critical, important, standard };

/// What is to hold at any time: how long a recovery may take, and how much of the past it may lose. Nothing: no goal.
struct RecoveryGoals {
    std::optional<std::chrono::microseconds> rto, rpo;
};

/// One entry of `backups`: a server, and the place of its backups.
struct Backup : Notifying {
    std::string name;
    Place place;  ///< of the name
    Text connection;
    BackupStore store;
    BackupWal wal;
    std::optional<BackupKeep> keep;
    std::optional<Times> full, incremental;
    BackupDrill drill;
    std::optional<RecoveryTier> tier;
    std::optional<std::chrono::microseconds> rto, rpo;

    /// The tier's, or those that are given.
    RecoveryGoals goals() const;
};

const Spec<Backup>& backup_spec();

}  // namespace penstock::config
