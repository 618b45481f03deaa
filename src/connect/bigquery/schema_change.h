#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/settings.h"
#include "connect/bigquery/target_table.h"
#include "connect/bigquery/types.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// Where a source column goes.
struct ColumnPlan {
    size_t field;  ///< index into the source's schema
    std::string source;
    Column incoming;     ///< as the source's values map, under its own name
    Column column;       ///< in the target
    bool fresh = false;  ///< this load adds it

    /// The staged value in the target's type: "PARSE_JSON(S.`a`, …)".
    std::string value(const config::TypePolicies& policies, const std::string& staged = "S") const;
};

/// How a source table fits its target. Matched by name, a rename by the source's column number as recorded.
struct Shape {
    std::vector<flow::SchemaDecision> decisions;
    std::vector<ColumnPlan> columns;
    std::vector<std::string> only_in_target;
    NewTable made;                  ///< what a table that is not there becomes
    bool reads_everything = false;  ///< rows already there need values of a new column that only the source's rows tell

    const ColumnPlan* find(std::string_view source_column) const;
    /// The target's names of source columns; an error where one is not carried.
    Result<std::vector<std::string>> names_of(const std::vector<std::string>& source_columns) const;
};

/// Compares by the policy of `target`. Nothing has been changed. A decision `refused` means that the table cannot be loaded.
Result<Shape> compare(const flow::TableTarget& target, const TargetTable& found, const config::TypePolicies& policies);

/// The load empties the table, in the transaction that fills it again.
bool rebuilds(const flow::TableTarget& target);

/// The error of the first refused decision, if any.
Status refusal(const flow::TableTarget& target, const Shape& shape);

}  // namespace penstock::bigquery
