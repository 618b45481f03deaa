#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/bookkeeping.h"
#include "engine/compression.h"
#include "engine/database.h"
#include "engine/sql.h"
#include "engine/types.h"
#include "flow/change.h"
#include "flow/sink.h"

namespace penstock::duckdb {

/// DuckDB folds case when it compares names.
bool same_name(std::string_view a, std::string_view b);

/// A target table as it stands, with what was recorded of it.
struct TargetTable {
    engine::TableName name;
    bool exists = false;
    bool empty = true;
    /// A primary key, UNIQUE or unique index: rows must then be changed in place, because DuckDB checks such an index
    /// against rows deleted in the same transaction too.
    bool has_unique_index = false;
    engine::Storage storage = engine::Storage::v1_0;
    std::vector<engine::TargetColumn> columns;
    std::vector<std::string> not_null;          ///< columns that refuse NULL
    std::vector<std::string> index_statements;  ///< CREATE INDEX of what stands on it
    std::optional<flow::BatchRecord> batch;     ///< the newest of this pipeline, source and target
    std::optional<data::Schema> recorded;       ///< the source's schema at the last recorded decision about it
    std::set<std::string> once_recorded;        ///< names that columns of this very source have had, in lower case
    int64_t schema_version = 0;

    const engine::TargetColumn* find(std::string_view column) const;
};

/// Columns of type 2 history.
using flow::change::valid_from;
using flow::change::valid_to;

/// Reads catalog and bookkeeping; changes nothing.
Result<TargetTable> inspect(engine::Connection& connection, const Bookkeeping& bookkeeping, const std::string& pipeline,
                            const flow::TableTarget& target);

/// What inspect would say of a file that is not there yet.
TargetTable absent_table(const flow::TableTarget& target);

}  // namespace penstock::duckdb
