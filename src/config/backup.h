#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/secret.h"
#include "config/values.h"

namespace penstock::config {

template <class T>
class Spec;

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

/// One entry of `backups`: a server, and the place of its backups.
struct Backup {
    std::string name;
    Place place;  ///< of the name
    Text connection;
    BackupStore store;
    BackupWal wal;
    std::optional<BackupKeep> keep;
};

const Spec<Backup>& backup_spec();

}  // namespace penstock::config
