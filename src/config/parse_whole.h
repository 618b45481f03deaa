#pragma once

#include <charconv>
#include <string_view>

namespace penstock::config {

/// Whether all of the text is a number that `into` holds.
template <class X>
bool parse_whole(std::string_view text, X& into) {
    auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), into);
    return status == std::errc{} && end == text.data() + text.size();
}

}  // namespace penstock::config
