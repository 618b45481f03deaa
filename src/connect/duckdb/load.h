#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/schema_change.h"
#include "connect/duckdb/target_table.h"
#include "engine/database.h"
#include "engine/exactness.h"
#include "engine/scan_function.h"
#include "flow/scan.h"
#include "flow/sink.h"

namespace penstock::duckdb {

/// One table's load inside the open transaction: what every mode needs to know.
struct Load {
    engine::Connection& connection;
    const flow::TableTarget& target;
    const Shape& shape;
    engine::TableName into;  ///< the target, or the table that is built aside
    bool into_empty = false;
    bool into_unique = false;  ///< a unique index stands on it
    bool rereads = false;      ///< rows of an earlier commit may come again
    engine::LentScan& scan;
    const flow::ScanContext& context;

    /// The scan as the target's columns, cast where the target is wider: SELECT "a", CAST("b" AS BIGINT) AS "b" FROM penstock_scan(1)
    std::string select() const;
    /// What it selects: "a", CAST("b" AS BIGINT) AS "b"
    std::string select_list() const;
    std::vector<std::string> column_names() const;
    /// The columns with their types in the target, to compare rows by.
    std::vector<engine::ComparedColumn> columns() const;
    /// " ORDER BY partition_by, cluster_by …" or "".
    std::string order() const;
    /// Runs SQL over the scan; a reader's own error wins over DuckDB's echo of it.
    Result<int64_t> pull(const std::string& sql);
    Result<int64_t> run(const std::string& sql) { return connection.execute(sql); }
    /// Whether the source itself promises that the target's key is unique and never NULL.
    bool key_is_certain() const;
};

/// Rows as they come. Re-read rows are recognised: see append.cc.
Result<flow::Counts> append(Load& load);
/// Insert or update by key. Never deletes.
Result<flow::Counts> merge(Load& load);
/// Type 2 history: see history.cc.
Result<flow::Counts> history(Load& load);

/// Rows straight into an empty table, one statement.
Result<flow::Counts> insert_all(Load& load, const std::string& extra_columns = "",
                                const std::string& extra_values = "");

/// The statements a load would run, for `plan`.
std::vector<std::string> statements_of(const flow::TableTarget& target, const TargetTable& found, const Shape& shape,
                                       bool rereads);

}  // namespace penstock::duckdb
