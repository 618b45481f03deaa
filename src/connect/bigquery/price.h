#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/jobs.h"
#include "connect/bigquery/publish_sql.h"
#include "flow/purse.h"

namespace penstock::bigquery {

/// The statements of a load that has not begun, for `plan`, and what they would bill: what they read of tables that are there, by
/// dry runs over no staged rows; what is staged, by the source's estimate; and `beside`, of the bookkeeping.
struct PlannedLoad {
    std::vector<std::string> statements;
    std::optional<flow::Charge> charge = {};  ///< nothing: known only once it runs
};
Result<PlannedLoad> planned_load(Jobs& jobs, const StagedLoad& load, const ConnectionOptions& options, int64_t beside,
                                 std::optional<double> usd_per_gib_written);

}  // namespace penstock::bigquery
