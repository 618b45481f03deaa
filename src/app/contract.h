#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "data/type.h"

namespace penstock::app {

/// A table's shape in the words of other systems: `json-schema` (draft 2020-12, of a row as an object), `avro` (a record), or `bigquery`
/// (the fields that `bq mk --schema` and load jobs take). Errors: a type or name that the system has not.
Result<nlohmann::ordered_json> contract(std::string_view form, const std::string& table, const data::Schema& schema,
                                        const config::TypePolicies& policies);

}  // namespace penstock::app
