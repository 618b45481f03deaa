#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::app {

/// What became of one node of a dbt project, as its run_results.json says, and what its manifest.json says of it.
struct DbtNode {
    std::string id = {};        ///< test.shop.unique_orders_id.fd91545187
    std::string kind = {};      ///< model, test, seed, snapshot, operation …
    std::string status = {};    ///< success, pass, warn, error, fail, skipped …
    std::string message = {};   ///< "" none
    std::string relation = {};  ///< warehouse.main.orders; "" none
    int64_t rows = 0;           ///< that the adapter says it has touched
    int64_t failures = 0;
    double seconds = 0;
    std::string file = {};    ///< models/orders.sql; "" unknown, as the next
    std::string name = {};    ///< of the test
    std::string of = {};      ///< the id of the node that is tested
    std::string column = {};  ///< that is tested

    bool is_test() const { return kind == "test" || kind == "unit_test"; }
    bool failed() const { return status == "error" || status == "runtime error" || status == "partial success"; }
};

/// The nodes of one invocation, in the order in which they ended. Nothing where the file is not there, or was left by another
/// invocation: one is known by the value of `DBT_ENV_CUSTOM_ENV_PENSTOCK_TRY`.
Result<std::optional<std::vector<DbtNode>>> read_dbt_results(const std::filesystem::path& folder,
                                                             const std::string& invocation);

}  // namespace penstock::app
