#pragma once

#include <string_view>

#include "data/block.h"
#include "transform/events/value_reader.h"

namespace penstock::parquet {

/// A field's text as a value of the column, exactly, or why it is none. Numbers and times are written as in JSON documents, booleans
/// as true, false, t or f, bytes in base64.
events::Fault store_csv_value(const events::FieldPlan& plan, std::string_view text, data::Block& block,
                              data::Column& column, size_t row);

/// Whether a column of the type can be read from a field.
bool is_csv_type(const data::Type& type);

}  // namespace penstock::parquet
