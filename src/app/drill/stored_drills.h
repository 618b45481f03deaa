#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "backup/catalog.h"

namespace penstock::app {

/// Ids of the reports in the store, the newest first.
Result<std::vector<std::string>> drill_ids(const backup::Catalog& catalog);

/// The report as drill_json() made it. Code `no_such_drill` where the store has none of this id, and `backup_damaged` where its
/// signature does not hold: such a report is not shown.
Result<nlohmann::ordered_json> stored_drill(const backup::Catalog& catalog, const std::string& id);

/// What a report in the store says, as far as goals of recovery go by it.
struct LastDrill {
    std::string id;
    bool passed = false;
    std::optional<double> rto;  ///< seconds
    std::string ended_at;
};

/// Of the newest report; nothing where there is none. Code `backup_damaged` where its signature does not hold.
Result<std::optional<LastDrill>> last_drill(const backup::Catalog& catalog);

}  // namespace penstock::app
