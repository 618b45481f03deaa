#pragma once

#include <duckdb.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "data/type.h"
#include "engine/database.h"

namespace penstock::engine {

struct LogicalTypeDelete {
    void operator()(duckdb_logical_type type) const { duckdb_destroy_logical_type(&type); }
};
using LogicalType = std::unique_ptr<_duckdb_logical_type, LogicalTypeDelete>;

/// The one table of types for DuckDB: every Kind has exactly one type, and its SQL name says the same.
LogicalType logical_type(const data::Type& type);
std::string sql_type(const data::Type& type);

/// A table's column as DuckDB has it. `type` is empty where no Kind is stored this way (HUGEINT, ENUM, UNION …).
struct TargetColumn {
    std::string name;
    std::string sql_type;
    std::optional<data::Type> type;
    /// Where `type` is empty: what a cast makes of every value without loss, or fails.
    std::optional<data::Type> nearest = {};
};

/// The columns a SELECT would give, read by binding it only.
Result<std::vector<TargetColumn>> columns_of(Connection& connection, const std::string& select);

}  // namespace penstock::engine
