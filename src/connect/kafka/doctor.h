#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "config/node.h"
#include "flow/component.h"

namespace penstock::kafka {

/// Whether the cluster answers, what it is, and whether transactions can be had.
Result<std::vector<flow::Finding>> doctor(const config::Node& connection, const std::filesystem::path& directory,
                                          std::stop_token stop);

}  // namespace penstock::kafka
