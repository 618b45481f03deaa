#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "config/pipeline.h"
#include "flow/source.h"

namespace penstock::duckdb {

/// `connections: {warehouse: {type: duckdb, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::FilePath path;
};

using TargetOptions = config::TableTargetOptions;

const config::Spec<ConnectionOptions>& connection_spec();
const config::Spec<TargetOptions>& target_spec();

/// Where a source table goes: `table`, with {schema} and {table} replaced, or its own name in schema `dataset`; with neither,
/// its own name.
std::string target_name(const TargetOptions& options, const std::string& source_table);

}  // namespace penstock::duckdb
