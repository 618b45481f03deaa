#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backup/catalog.h"
#include "backup/wal_records.h"
#include "base/clock.h"

namespace penstock::backup {

/// Where a restore is to end.
struct RecoveryTarget {
    enum class Kind { latest, time, lsn, name, xid };
    Kind kind = Kind::latest;
    std::string text;  ///< as it was asked for
    TimePoint time{};
    postgres::Lsn lsn;
    uint32_t xid = 0;
};

/// What is recovered behind a backup's own end.
struct Recovery {
    RecoveryTarget target;
    uint32_t timeline = 0;                ///< that is followed; the restored server begins one of its own
    postgres::Lsn reach;                  ///< the stored log goes up to here
    std::optional<TimePoint> reach_time;  ///< of the last transaction in it
    std::optional<postgres::Lsn> record;  ///< the last that is replayed, where it is known
    std::optional<postgres::Lsn> gap_to;  ///< behind `reach` the log was given up, up to here
};

struct RecoveryPlan {
    BackupRecord backup;
    std::vector<BackupRecord> parents = {};  ///< what it is built on (Catalog::parents)
    std::optional<Recovery> recovery;  ///< nothing where no log is stored behind the backup: it is restored as it is
};

/// The newest backup from which the target can be reached (or the one that `id` begins), and the way there. Refused, with how
/// far the log reaches: a target before the first backup's end, one behind the end of the log (code `target_not_reached`), and
/// one behind log that is missing (`wal_missing`).
Result<RecoveryPlan> plan_recovery(const Catalog& catalog, const std::string& id, const RecoveryTarget& target);

}  // namespace penstock::backup
