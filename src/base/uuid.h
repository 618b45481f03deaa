#pragma once

#include <string>
#include <string_view>

namespace penstock {

/// The UUID that a name always has: version 5 of RFC 9562, in its namespace of URLs.
std::string uuid_of(std::string_view name);

}  // namespace penstock
