#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "flow/validation.h"

namespace penstock::check {

/// The results of one table's checks as Great Expectations 1.x writes a validation result.
nlohmann::ordered_json result_json(const std::string& suite, const std::vector<flow::ValidationRecord>& records);

}  // namespace penstock::check
