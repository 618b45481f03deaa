#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "flow/component.h"

namespace penstock::duckdb {

/// Looks at a DuckDB file without changing it: there or not, free or locked, its version, room on its disk.
Result<std::vector<flow::Finding>> doctor(const config::Node& connection, const std::filesystem::path& directory,
                                          std::stop_token stop);

}  // namespace penstock::duckdb
