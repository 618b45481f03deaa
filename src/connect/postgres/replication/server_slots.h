#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include "config/node.h"
#include "flow/slots.h"

namespace penstock::postgres {

/// The replication slots of the server a connection leads to, physical ones included; for `penstock slots` and `status`.
Result<std::unique_ptr<flow::Slots>> open_slots(const config::Node& connection, const std::filesystem::path& directory,
                                                std::stop_token stop);

}  // namespace penstock::postgres
