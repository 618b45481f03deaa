#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backup/wal_records.h"
#include "backup/wal_store.h"

namespace penstock::backup {

/// The log that follows a backup: over timelines, up to its first gap or its end. Of a leg, the stretch is the index's.
struct WalPath {
    struct Leg {
        const WalStretch* stretch;
        Lsn from, to;
    };
    std::vector<Leg> legs;  ///< empty where the log at the backup's end is not stored
    uint32_t timeline = 0;  ///< that is followed: the newest one that comes from the backup's
    /// What stands behind a gap, where one ends the path. Where it `begins` the gap was accepted once; else log is missing.
    const WalStretch* behind_gap = nullptr;

    Lsn end() const { return legs.empty() ? Lsn() : legs.back().to; }
};

/// From this place of a timeline on. Reads the histories of timelines.
Result<WalPath> follow_wal(const WalStore& store, const WalIndex& index, uint32_t timeline, Lsn from);

/// What a path's log ends with.
struct WalEnd {
    std::optional<WalRecord> record;       ///< the last one
    std::optional<WalRecord> transaction;  ///< the last commit or abort
};

/// Reads backwards from the end until a transaction's end is found, or the path's beginning.
Result<WalEnd> end_of(const WalStore& store, const WalPath& path);
/// The last record that ends here or before, backwards.
Result<std::optional<WalRecord>> last_record(const WalStore& store, const WalPath& path, Lsn until);
/// The first that is wanted, from the beginning on.
Result<std::optional<WalRecord>> find_record(const WalStore& store, const WalPath& path,
                                             const std::function<bool(const WalRecord&)>& wanted);

}  // namespace penstock::backup
