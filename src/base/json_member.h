#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace penstock {

/// The text of an object's member; "" where it is missing or no text.
std::string text_of(const nlohmann::json& object, const char* name);

}  // namespace penstock
