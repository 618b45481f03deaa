#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "check/arguments.h"

namespace penstock::check {

/// What an expectation asks of each row, in SQL over a table that is called `S`. Neither condition is ever NULL.
struct RowRule {
    std::string missing = "false";  ///< such a row is not judged
    std::string unexpected;
    std::vector<std::string> columns;  ///< whose values are shown
    bool all_count = false;            ///< missing rows are what is looked for: null and not null
    std::string window = {};           ///< columns more that `unexpected` needs, computed over all rows
};

/// `table` stands for the rows, quoted.
Result<RowRule> row_rule(const Arguments& arguments, const std::string& table);

}  // namespace penstock::check
