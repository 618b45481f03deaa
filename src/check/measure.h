#pragma once

#include "check/arguments.h"
#include "flow/validation.h"

namespace penstock::check {

/// What was found for an expectation that is not of single rows.
struct Measured {
    bool success = false;
    std::string observed;  ///< JSON
    int64_t unexpected =
        -1;                ///< of the values that are there, those that should not be; -1 of what does not count them
    int64_t lacking = -1;  ///< of the values that should be there, those that are not
    int64_t rows = -1;     ///< of the table, where they were counted
    std::string details = "{}";  ///< JSON, what else Great Expectations tells
};

Result<Measured> measure(const Arguments& arguments, const flow::AskedTable& table);
Result<Measured> measure_table(const Arguments& arguments, const flow::AskedTable& table);

}  // namespace penstock::check
