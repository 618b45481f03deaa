#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/target_table.h"
#include "data/type.h"
#include "flow/sink.h"

namespace penstock::duckdb {

/// Where a source column goes.
struct ColumnPlan {
    size_t field;  ///< index into the source's schema
    std::string source;
    std::string name;    ///< in the target
    data::Type type;     ///< in the target
    bool cast = false;   ///< the target's type is a wider one
    bool fresh = false;  ///< this load adds it: rows already there have no value of it
};

/// How a source table fits its target: what must be decided, and which column goes where. Matched by name, a rename by the
/// source's column number as recorded; never by position. As long as the source's table is the one that was recorded, its
/// numbers say more than the names: a name that another column bears now is not the same column.
struct Shape {
    std::vector<flow::SchemaDecision> decisions;
    std::vector<ColumnPlan> columns;
    std::vector<std::string> only_in_target;
    bool reads_everything = false;  ///< rows already there need values of a new column that only the source's rows tell

    const ColumnPlan* find(std::string_view source_column) const;
    /// The target's names of source columns; an error where one is not carried.
    Result<std::vector<std::string>> names_of(const std::vector<std::string>& source_columns) const;
};

/// Compares by the policy of `target`. The decisions' SQL has not been run. A decision `refused` means that the table cannot
/// be loaded: see refusal().
Result<Shape> compare(const flow::TableTarget& target, const TargetTable& found);

/// A table of the source's own shape, without decisions.
Shape new_shape(const flow::TableTarget& target);

/// A table that is built again takes the source's shape; what changes by that is said and recorded.
Shape rebuilt_shape(const flow::TableTarget& target, const TargetTable& found);

/// The load builds the table again and swaps it in: what it has is not wanted.
bool rebuilds(const flow::TableTarget& target);

/// Some column's number is not the recorded one of its name, or is a number in another relation.
bool renumbered(const flow::TableTarget& target, const TargetTable& found);

/// By DuckDB's rule of names.
bool has_field(const data::Schema& schema, std::string_view name);

/// The error of the first refused decision, if any.
Status refusal(const flow::TableTarget& target, const Shape& shape);

/// CREATE TABLE with the compression that the source's statistics speak for; history adds its two columns.
std::string create_table_sql(const engine::TableName& name, const flow::TableTarget& target, const Shape& shape,
                             engine::Storage storage);

}  // namespace penstock::duckdb
