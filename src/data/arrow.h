#pragma once

#include <memory>

#include "base/error.h"
#include "data/block.h"
#include "data/type.h"

namespace arrow {
class RecordBatch;
class Schema;
}  // namespace arrow

namespace penstock::data {

// Blocks as Arrow and back, value by value the same. uuid is fixed_size_binary(16) and json utf8, told by the field's
// `ARROW:extension:name` (arrow.uuid, arrow.json); timetz is utf8 in PostgreSQL's text form, told by `penstock.kind`; interval
// is month_day_nano, which holds 292 years of its microseconds part; decimal is decimal128, enough for every precision.

Result<std::shared_ptr<arrow::Schema>> to_arrow(const Schema& schema);
/// An Arrow type without a Kind is an error, never a cast.
Result<Schema> from_arrow(const arrow::Schema& schema);

/// Copies the block's rows. `schema` is the block's as `to_arrow` made it.
Result<std::shared_ptr<arrow::RecordBatch>> to_arrow(const Block& block, const std::shared_ptr<arrow::Schema>& schema);

/// Puts rows [first, first + rows) of the batch, at most `block_rows`, into the block, which is clear and of the schema that
/// `from_arrow` made of the batch's. Strings and bytes are not copied: the batch must outlive the block's use.
Status from_arrow(const arrow::RecordBatch& batch, size_t first, size_t rows, Block& block);

}  // namespace penstock::data
