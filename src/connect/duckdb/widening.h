#pragma once

#include "data/type.h"

namespace penstock::duckdb {

/// Whether every value of `narrow` is a value of `wide` and DuckDB's cast from one to the other changes nothing. Equal types
/// hold each other. Different meanings never do (a number is not its text, a timestamp without zone is no instant).
bool holds(const data::Type& wide, const data::Type& narrow);

}  // namespace penstock::duckdb
