#include "transform/debezium/json_text.h"

#include <algorithm>
#include <cmath>

namespace penstock::debezium {
namespace {

constexpr auto needs_escape = [] {
    std::array<bool, 256> out{};
    for (size_t i = 0; i < 0x20; ++i) out[i] = true;
    out['"'] = out['\\'] = true;
    return out;
}();

void append_escaped(char c, std::string& out) {
    switch (c) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        case '\b': out += "\\b"; return;
        case '\f': out += "\\f"; return;
        default: break;
    }
    constexpr std::string_view digits = "0123456789abcdef";
    out += "\\u00";
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[c & 15];
}

template <class T>
void append_floating(T value, std::string& out) {
    if (std::isnan(value)) {
        out += "\"NaN\"";
        return;
    }
    if (std::isinf(value)) {
        out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        return;
    }
    std::array<char, 40> text;
    auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    std::string_view digits(text.data(), static_cast<size_t>(end - text.data()));
    out += digits;
    if (digits.find_first_of(".e") == digits.npos) out += ".0";
}

}  // namespace

void append_json_string(std::string_view text, std::string& out) {
    out += '"';
    size_t kept = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        if (!needs_escape[static_cast<unsigned char>(text[at])]) [[likely]]
            continue;
        out += text.substr(kept, at - kept);
        append_escaped(text[at], out);
        kept = at + 1;
    }
    out += text.substr(kept);
    out += '"';
}

std::string json_string(std::string_view text) {
    std::string out;
    append_json_string(text, out);
    return out;
}

void append_base64(std::string_view bytes, std::string& out, bool url) {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr std::string_view safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char* digits = url ? safe.data() : plain.data();
    size_t begin = out.size();
    out.resize(begin + (bytes.size() + 2) / 3 * 4);
    char* to = out.data() + begin;
    auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at])); };
    size_t at = 0;
    for (; at + 2 < bytes.size(); at += 3) {
        uint32_t group = byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = digits[group >> 6 & 63];
        *to++ = digits[group & 63];
    }
    size_t rest = bytes.size() - at;
    if (rest == 0) return;
    uint32_t group = byte(at) << 16 | (rest == 2 ? byte(at + 1) << 8 : 0);
    *to++ = digits[group >> 18];
    *to++ = digits[group >> 12 & 63];
    *to++ = rest == 2 ? digits[group >> 6 & 63] : '=';
    *to = '=';
}

void append_json_number(double value, std::string& out) { append_floating(value, out); }
void append_json_number(float value, std::string& out) { append_floating(value, out); }

}  // namespace penstock::debezium
