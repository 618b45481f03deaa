#pragma once

#include <optional>
#include <string>

#include "data/type.h"

namespace penstock::engine {

/// What rows older than a column hold in it (Field::initial, Field::initial_unknown), as an SQL expression of its type: NULL, or
/// the constant. Nothing where that is not known, or where DuckDB would not read the source's text as exactly the value that
/// the source's rows come with: then those rows must be read.
std::optional<std::string> older_rows_sql(const data::Field& field);

/// The same constant for a DEFAULT clause, where there is one: a literal, because DuckDB (1.5) cannot commit a transaction that
/// adds a column with any other default and then alters the table once more.
std::string default_literal(const data::Field& field);

}  // namespace penstock::engine
