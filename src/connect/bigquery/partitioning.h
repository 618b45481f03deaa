#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/types.h"

namespace penstock::bigquery {

/// How a table is cut into partitions: by a column of time, or by ranges of an integer.
struct Partitioning {
    std::string column;  ///< "": not at all
    std::string unit;    ///< HOUR, DAY, MONTH, YEAR; "" for ranges
    int64_t start = 0, end = 0, interval = 0;

    bool none() const { return column.empty(); }
    bool operator==(const Partitioning&) const = default;
    /// For PARTITION BY: "DATE(`created_at`)".
    std::string sql(const std::vector<Column>& columns) const;
};

/// "date(created_at)", "created_at", "timestamp_trunc(created_at, MONTH)", "range_bucket(id, generate_array(0, 1000, 10))".
Result<Partitioning> parse_partitioning(const std::string& partition_by, const std::vector<Column>& columns);

/// Into a table's REST form, and out of it.
void put_partitioning(const Partitioning& partitioning, nlohmann::json& table);
Partitioning partitioning_of(const nlohmann::json& table);

}  // namespace penstock::bigquery
