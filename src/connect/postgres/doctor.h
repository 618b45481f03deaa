#pragma once

#include "flow/component.h"

namespace penstock::postgres {

/// Looks at a server as a reader of it would need it: version, encryption, privileges, settings, clock, long transactions.
Result<std::vector<flow::Finding>> doctor(const config::Node& connection, const std::filesystem::path& directory,
                                          std::stop_token stop);

/// Every table and materialized view, with its key and, where a column's name and type say so, its cursor.
Result<std::vector<flow::TableInfo>> discover_all(const config::Node& connection,
                                                  const std::filesystem::path& directory, std::stop_token stop);

}  // namespace penstock::postgres
