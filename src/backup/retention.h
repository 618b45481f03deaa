#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/wal_index.h"
#include "base/clock.h"

namespace penstock::backup {

/// What has to stay: where both are given, what either keeps.
struct Retention {
    std::optional<int64_t> days;  ///< any time of the last so many days can be restored
    std::optional<int64_t> full;  ///< the newest so many full backups, and what is built on them
};

/// A backup as retention sees it.
struct RetainedBackup {
    std::string id;
    std::string parent = {};  ///< what it is built on; "" of a full one
    TimePoint ended_at;
    uint32_t timeline = 0;
    Lsn end;
    std::set<uint32_t> later_timelines;  ///< that the log behind it goes over to
};

/// What may go, in the order in which it goes: whatever ends it in between, what is left is whole.
struct RetentionPlan {
    std::vector<std::string> backups;                      ///< ids, none before what is built on it
    std::vector<std::pair<uint32_t, Lsn>> new_beginnings;  ///< marked before any piece goes
    std::vector<WalPiece> pieces;
    std::vector<std::pair<uint32_t, Lsn>> beginnings;  ///< of stretches that are gone

    bool empty() const { return backups.empty() && pieces.empty(); }
};

/// A pure decision. The newest backup always stays, and the last block of the newest log, by which its receiver knows where to
/// go on. Without a backup all of the log stays.
RetentionPlan plan_retention(const Retention& retention, TimePoint now, std::vector<RetainedBackup> backups,
                             const WalLayout& layout, const WalIndex& index);

}  // namespace penstock::backup
