#pragma once

#include <string>
#include <utility>
#include <vector>

#include "app/pipeline.h"
#include "flow/comparison.h"

namespace penstock::app {

/// The columns of a table that both sides should have the same values in, in pairs.
struct ComparedColumns {
    std::vector<flow::ComparedColumn> source;  ///< the source's names, the target's types
    std::vector<flow::ComparedColumn> target;
    std::vector<std::pair<std::string, std::string>> left_out;  ///< column, why
};

/// Steps that change values take their columns out; those that make or drop rows refuse the comparison.
Result<ComparedColumns> compared_columns(const Pipeline& pipeline, const flow::TableTarget& table,
                                         const flow::ComparedTable& there);

/// The refusal of a comparison without one of its keys.
Error key_not_compared(const flow::TableTarget& table, const std::string& column, const std::string& why);

/// Which rows of the target stand for rows of the source: an SQL condition over quoted names, "" all.
std::string current_rows(const flow::TableTarget& table, const std::function<std::string(std::string_view)>& quoted);

}  // namespace penstock::app
