#pragma once

#include <string>
#include <string_view>

namespace penstock {

/// Who reads the text: one record of a log, or a page of several lines that we may have coloured.
enum class Shown { line, page };

/// The text with control characters made visible (\n, \x1b): names of tables and words of servers come from others, and
/// must neither begin a line of their own in a log nor tell a terminal what to do. A page keeps its line breaks, tabs and
/// colours.
std::string visible(std::string_view text, Shown shown);

}  // namespace penstock
