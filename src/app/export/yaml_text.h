#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace penstock::app {

/// JSON as YAML in block style, as people write manifests: texts plain where that is safe in YAML 1.1 and 1.2, long texts as
/// literal blocks, lists and maps that fit on a line in flow style.
std::string yaml_text(const nlohmann::ordered_json& value);

}  // namespace penstock::app
