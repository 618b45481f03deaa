#pragma once

#include <duckdb.h>

#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace penstock::engine {

/// What DuckDB said, as an Error that names who must act: disk full and memory are capacity, a lock is a conflict, an
/// interrupt is interrupted. `type` may be DUCKDB_ERROR_INVALID where DuckDB gives only text.
Error error_from(duckdb_error_type type, std::string_view message);

/// The same for a file that would not open; the sentence names the file.
Error open_error(const std::filesystem::path& file, std::string_view message);

}  // namespace penstock::engine
