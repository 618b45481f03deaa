#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "base/error.h"
#include "flow/component.h"

namespace penstock::bigquery {

/// Whether BigQuery answers, to whom, whether jobs may be begun, and where the bookkeeping is.
Result<std::vector<flow::Finding>> doctor(const config::Node& connection, const std::filesystem::path& directory,
                                          std::stop_token stop);

}  // namespace penstock::bigquery
