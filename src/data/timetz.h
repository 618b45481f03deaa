#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::data {

/// Kind::timetz as PostgreSQL writes it, 13:45:30.25+05:30, and back; nothing for other text.
std::string timetz_text(int64_t packed);
std::optional<int64_t> parse_timetz(std::string_view text);

}  // namespace penstock::data
