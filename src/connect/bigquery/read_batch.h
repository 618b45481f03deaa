#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/read_types.h"
#include "data/type.h"

namespace arrow {
class RecordBatch;
}

namespace penstock::bigquery {

/// A row with a value that its type cannot hold.
struct RefusedRow {
    int64_t row;
    size_t column;
    std::string code;
    std::string reason;
};

/// A batch as data::from_arrow takes it. Rows that are refused are still in it, with NULL in the value's place.
struct ConformedBatch {
    std::shared_ptr<arrow::RecordBatch> batch;
    std::vector<RefusedRow> refused;  ///< by row; one entry a row
};

/// Puts a batch's columns, as BigQuery sends them, into the types that they were announced as, value by value the same.
/// Columns are met by name. An error where the batch is not what its table's description said.
Result<ConformedBatch> conform(const arrow::RecordBatch& batch, const std::vector<WireColumn>& columns,
                               const data::Schema& schema);

/// A row in BigQuery's own text forms, as a JSON object: for rejects. Only the columns named; all where `names` is empty.
std::string row_json(const arrow::RecordBatch& batch, int64_t row, const std::vector<std::string>& names);

}  // namespace penstock::bigquery
