#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "connect/duckdb/schema_change.h"
#include "connect/duckdb/target_table.h"
#include "flow/sink.h"

namespace penstock::duckdb {

/// A column that Penstock keeps in a target beside the source's.
struct OwnColumn {
    const char* name;
    const char* type;
    const char* initial = nullptr;  ///< of rows that were there before; a table made with the column refuses NULL
};

/// Those that this target has, in their order behind the source's.
std::vector<OwnColumn> own_columns(const flow::TableTarget& target);
bool is_own_column(const flow::TableTarget& target, std::string_view name);

/// For CREATE TABLE: ", a VARCHAR, b BOOLEAN NOT NULL" or "".
std::string own_columns_sql(const flow::TableTarget& target);

/// A table that was there before its changes were captured gets the columns that it lacks.
void add_own_columns(const flow::TableTarget& target, const TargetTable& found, Shape& shape);

}  // namespace penstock::duckdb
