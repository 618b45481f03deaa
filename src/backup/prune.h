#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/catalog.h"
#include "backup/retention.h"

namespace penstock::backup {

/// What of a place is to go.
struct PrunePlan {
    RetentionPlan what;
    std::vector<std::string> leftovers;   ///< ids of killed runs, whose parts no entry names
    std::vector<std::string> unreadable;  ///< ids of entries that cannot be read: they stay, with all that is theirs
    uint64_t objects = 0;
    uint64_t bytes = 0;  ///< stored

    bool empty() const { return what.empty() && leftovers.empty(); }
};

/// Reads the catalog and the names of objects. Parts without an entry are left over where nothing was put among them for a day.
Result<PrunePlan> plan_prune(const Catalog& catalog, const Retention& retention, TimePoint now);

/// Removes it: of a backup its entry first, so that nothing that is half gone can be restored. What a kill leaves is removed by
/// the next one.
Status prune(const Catalog& catalog, const PrunePlan& plan, const std::stop_token& stop);

}  // namespace penstock::backup
