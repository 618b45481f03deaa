#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock {

std::string to_base64(std::string_view bytes);
/// With the letters for URLs and without padding, as tokens have it.
std::string to_base64_url(std::string_view bytes);

/// From either alphabet, padded or not; nothing where the text is no base64.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace penstock
