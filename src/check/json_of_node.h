#pragma once

#include <nlohmann/json_fwd.hpp>

#include "config/node.h"

namespace penstock::check {

/// Numbers, booleans and null as such, all else as text.
nlohmann::ordered_json json_of_node(const config::Node& node);

}  // namespace penstock::check
