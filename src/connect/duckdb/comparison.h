#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include "engine/database.h"
#include "flow/comparison.h"

namespace penstock::duckdb {

/// The tables of a DuckDB file as something to be compared; the file is opened read-only, with these settings.
Result<std::unique_ptr<flow::ComparedTarget>> compare(const std::filesystem::path& file, engine::Settings settings,
                                                      std::stop_token stop);

}  // namespace penstock::duckdb
