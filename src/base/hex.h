#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock {

/// 0 to 15, of either case; -1 where the letter is no hexadecimal digit.
constexpr int hex_value(char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/// Lower-case digits, two a byte.
void append_hex(std::string_view bytes, std::string& out);
std::string to_hex(std::string_view bytes);

/// From digits of either case; nothing where the text is anything else.
std::optional<std::string> from_hex(std::string_view text);

}  // namespace penstock
