#pragma once

#include <optional>
#include <string>

#include "backup/catalog.h"

namespace penstock::app {

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
