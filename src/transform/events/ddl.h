#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/type.h"

namespace penstock::events {

/// A table as a CREATE TABLE statement has it.
struct TableDefinition {
    std::string name;  ///< as written, quotes undone
    data::Schema schema;
    std::string partition_by;  ///< the expression as written, or ""
    std::vector<std::string> cluster_by;
    std::string description;
};

/// Reads one CREATE TABLE statement as BigQuery's reference has it: column lists with ARRAY<…>, STRUCT<…>, NOT NULL and
/// OPTIONS(description = …), PARTITION BY, CLUSTER BY, OPTIONS. TIMESTAMP is a point in time, DATETIME has no zone. A type that no
/// column of ours is, and anything that would be passed over, is an error at `file`:line:column.
Result<TableDefinition> parse_ddl(std::string_view text, const std::string& file);

}  // namespace penstock::events
