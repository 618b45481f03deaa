#pragma once

#include <span>
#include <string_view>

namespace penstock::state {

/// Each step brings the schema from its index to the next version. Steps are never edited, only added. Statements end with a
/// semicolon; `{name}`, `{text}`, `{double}` and `{options}` are what a database calls a name that is a key, a text of any length, a
/// double, and what it wants behind a table (dialect.h).
std::span<const std::string_view> migrations();

}  // namespace penstock::state
