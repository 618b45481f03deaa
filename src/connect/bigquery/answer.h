#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "base/json_member.h"

namespace penstock::bigquery {

/// A member of an answer; an int64 is a string in BigQuery's JSON. `none` where it is missing or no number.
int64_t number_of(const nlohmann::json& json, const char* name, int64_t none = 0);

/// A member that is an object; an empty one where it is missing.
const nlohmann::json& part_of(const nlohmann::json& json, const char* name);

}  // namespace penstock::bigquery
