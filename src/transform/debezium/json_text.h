#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::debezium {

/// Between quotes, with what JSON wants escaped.
void append_json_string(std::string_view text, std::string& out);
std::string json_string(std::string_view text);

/// With padding; the URL's alphabet where asked.
void append_base64(std::string_view bytes, std::string& out, bool url = false);

/// The shortest number that reads back as the same, 2.0 for 2; "NaN", "Infinity" and "-Infinity" in quotes.
void append_json_number(double value, std::string& out);
void append_json_number(float value, std::string& out);

template <std::integral T>
void append_integer(T value, std::string& out) {
    std::array<char, 24> digits;
    auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out.append(digits.data(), static_cast<size_t>(end - digits.data()));
}

}  // namespace penstock::debezium
