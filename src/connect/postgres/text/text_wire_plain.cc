#include <algorithm>
#include <charconv>
#include <limits>

#include "base/hex.h"
#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"

namespace penstock::postgres {
namespace {

template <class T>
bool parse_integer(std::string_view text, std::string& wire, Malformed& malformed, const char* expected) {
    T value;
    auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || after != text.data() + text.size()) return malformed.because(expected);
    put(wire, value);
    return true;
}

/// NaN, Infinity, -Infinity, or digits. from_chars alone would take more spellings of the former.
template <class T, class Wire>
bool parse_float(std::string_view text, std::string& wire, Malformed& malformed) {
    constexpr auto infinity = std::numeric_limits<T>::infinity();
    T value;
    if (text == "NaN") value = std::numeric_limits<T>::quiet_NaN();
    else if (text == "Infinity") value = infinity;
    else if (text == "-Infinity") value = -infinity;
    else {
        if (text.empty() || text.find_first_not_of("0123456789.+-eE") != text.npos)
            return malformed.because("a floating-point number");
        auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || after != text.data() + text.size())
            return malformed.because("a floating-point number in its type's range");
    }
    put(wire, std::bit_cast<Wire>(value));
    return true;
}

/// bytea_output = escape: a backslash is doubled, what is not printable is three octal digits behind one.
bool parse_escaped_bytes(std::string_view text, std::string& wire, Malformed& malformed) {
    auto octal = [&](size_t i, char most) { return i < text.size() && text[i] >= '0' && text[i] <= most; };
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            wire += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == '\\') {
            wire += '\\';
            ++i;
        } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
            wire += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
            i += 3;
        } else {
            return malformed.because("a backslash or three octal digits after a backslash");
        }
    }
    return true;
}

}  // namespace

bool parse_verbatim(std::string_view text, std::string& wire, Malformed&) {
    wire += text;
    return true;
}

bool parse_bool(std::string_view text, std::string& wire, Malformed& malformed) {
    bool truth = text == "t" || text == "true";  // wal2json gives JSON's words
    if (!truth && text != "f" && text != "false") return malformed.because("t or f");
    wire += static_cast<char>(truth);
    return true;
}

bool parse_int2(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_integer<int16_t>(text, wire, malformed, "an integer of 16 bits");
}

bool parse_int4(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_integer<int32_t>(text, wire, malformed, "an integer of 32 bits");
}

bool parse_int8(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_integer<int64_t>(text, wire, malformed, "an integer of 64 bits");
}

bool parse_uint4(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_integer<uint32_t>(text, wire, malformed, "an unsigned integer of 32 bits");
}

bool parse_uint8(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_integer<uint64_t>(text, wire, malformed, "an unsigned integer of 64 bits");
}

bool parse_float4(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_float<float, uint32_t>(text, wire, malformed);
}

bool parse_float8(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_float<double, uint64_t>(text, wire, malformed);
}

bool parse_hex(std::string_view text, std::string& wire, Malformed& malformed) {
    if (text.size() % 2 != 0) return malformed.because("pairs of hexadecimal digits");
    size_t start = wire.size();
    wire.resize(start + text.size() / 2);
    for (size_t i = 0; i < text.size(); i += 2) {
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return malformed.because("pairs of hexadecimal digits");
        wire[start + i / 2] = static_cast<char>(high << 4 | low);
    }
    return true;
}

bool parse_bytea(std::string_view text, std::string& wire, Malformed& malformed) {
    return text.starts_with("\\x") ? parse_hex(text.substr(2), wire, malformed)
                                   : parse_escaped_bytes(text, wire, malformed);
}

bool parse_uuid(std::string_view text, std::string& wire, Malformed& malformed) {
    constexpr const char* expected = "32 hexadecimal digits in groups of 8-4-4-4-12";
    if (text.size() != 36) return malformed.because(expected);
    for (size_t i = 0; i < 36;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') return malformed.because(expected);
            ++i;
            continue;
        }
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return malformed.because(expected);
        wire += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return true;
}

/// jsonb_send: the version, 1, and the text.
bool parse_jsonb(std::string_view text, std::string& wire, Malformed&) {
    wire += '\x01';
    wire += text;
    return true;
}

}  // namespace penstock::postgres
