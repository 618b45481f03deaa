#pragma once

#include <string>
#include <string_view>

namespace penstock {

/// Text as it may stand in HTML, between tags and in quoted attributes.
std::string html_escaped(std::string_view text);

/// A page up to <body>: our colours, tables and classes (good, bad, warn, number, past, scroll), and nothing from elsewhere.
std::string html_head(std::string_view title);

}  // namespace penstock
