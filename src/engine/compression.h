#pragma once

#include <string_view>

#include "data/type.h"

namespace penstock::engine {

/// The compression to ask of DuckDB for a column, for `USING COMPRESSION`, or "" to let DuckDB try them all. Choosing
/// beforehand saves about a quarter of a load's CPU, and is only done where the type or the source's statistics tell.
/// `rows` is the table's size if known, else -1; `zstd` whether the file's storage version has it.
std::string_view choose_compression(const data::Field& field, int64_t rows, bool zstd);

}  // namespace penstock::engine
