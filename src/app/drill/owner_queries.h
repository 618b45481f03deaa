#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/drill/sandbox.h"
#include "config/backup.h"

namespace penstock::app {

/// What became of a query of the owner's.
struct QueryOutcome {
    std::string sql;
    double seconds = 0;
    int64_t rows = 0;
    std::optional<std::string> first;  ///< value of the first row, at most a kilobyte; nothing: no row, or NULL
    std::optional<Error> error;
};

/// Asks them one after the other, read only. Rows are counted as they come and not kept. An error only where the server went away or
/// this was stopped.
Result<std::vector<QueryOutcome>> ask_queries(const Sandbox& sandbox, const std::string& database,
                                              const std::vector<config::Text>& queries, const std::stop_token& stop);

}  // namespace penstock::app
