#pragma once

#include <string>
#include <string_view>

namespace penstock {

/// A to Z as a to z; all else as it is.
std::string lower_case(std::string_view text);

/// `*` is any text, `?` any byte.
bool matches(std::string_view text, std::string_view pattern);

}  // namespace penstock
