#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "connect/parquet/storage.h"
#include "engine/database.h"
#include "flow/comparison.h"

namespace penstock::parquet {

/// A pipeline's tables in a folder of Parquet files as something to be compared: the files of the batches that make a table up, read
/// by an embedded DuckDB with these settings.
Result<std::unique_ptr<flow::ComparedTarget>> compare(Path root, std::string pipeline, engine::Settings settings,
                                                      std::stop_token stop);

}  // namespace penstock::parquet
