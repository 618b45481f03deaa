#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/node.h"

namespace penstock::check {

/// What a check may compare with that is not among the rows it is asked of. Any thread.
struct Reference {
    /// The numbers that the check of a series (flow::Validation::series) has found for a table of the source in the newest runs
    /// that ended well, newest first, `most` of them at most. Absent where nothing is known of runs.
    std::function<Result<std::vector<double>>(const std::string& table, const std::string& series, size_t most)> past =
        {};
    /// The number that `same_as` means, a map as it stands there, wherever it is. Absent where nobody is to be asked.
    std::function<Result<double>(const config::Node& same_as, std::stop_token stop)> elsewhere = {};
    /// Where the target's tables are.
    std::string own_connection = {};
    /// Of the source, whose rows are asked.
    std::string table = {};
    std::stop_token stop = {};

    Reference of(const std::string& source_table, std::stop_token until = {}) const {
        auto one = *this;
        one.table = source_table;
        one.stop = std::move(until);
        return one;
    }
};

}  // namespace penstock::check
