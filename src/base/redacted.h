#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace penstock {

/// The same with every text in it redacted, and its names as they are: of JSON's own text a short secret would blot out numbers and
/// words, and a secret with quotes would not be found in it.
nlohmann::ordered_json redacted(nlohmann::ordered_json json);

/// Bytes that are no UTF-8 become U+FFFD.
std::string valid_text(const std::string& text);

}  // namespace penstock
