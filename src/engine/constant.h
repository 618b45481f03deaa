#pragma once

#include <optional>
#include <string>

#include "data/type.h"

namespace penstock::engine {

/// What rows older than a column hold in it (Field::initial, Field::initial_unknown), as an SQL expression of its type: NULL, or
/// the constant. Nothing where that is not known, or where DuckDB would not read the source's text as exactly the value that
/// the source's rows come with: then those rows must be read.
std::optional<std::string> older_rows_sql(const data::Field& field);

}  // namespace penstock::engine
