#include "transform/events/json_cursor.h"

#include <fmt/format.h>

namespace penstock::events {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Four digits from `at` on; -1 where there are none.
int code_unit(std::string_view raw, size_t at) {
    if (at + 4 > raw.size()) return -1;
    int unit = 0;
    for (size_t i = at; i < at + 4; ++i) {
        int digit = hex_digit(raw[i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

void append_utf8(std::string& out, int point) {
    auto byte = [&](int bits) { out += static_cast<char>(bits); };
    if (point < 0x80) return byte(point);
    if (point < 0x800) return byte(0xC0 | point >> 6), byte(0x80 | (point & 0x3F));
    if (point < 0x10000) return byte(0xE0 | point >> 12), byte(0x80 | (point >> 6 & 0x3F)), byte(0x80 | (point & 0x3F));
    byte(0xF0 | point >> 18), byte(0x80 | (point >> 12 & 0x3F)), byte(0x80 | (point >> 6 & 0x3F)),
        byte(0x80 | (point & 0x3F));
}

/// \uXXXX at `at`, behind the u; moved behind what it took.
bool append_point(std::string_view raw, size_t& at, std::string& out) {
    int point = code_unit(raw, at);
    at += 4;
    if (point < 0 || (point >= 0xDC00 && point < 0xE000)) return false;
    if (point >= 0xD800 && point < 0xDC00) {
        int low = raw.substr(std::min(at, raw.size())).starts_with("\\u") ? code_unit(raw, at + 2) : -1;
        if (low < 0xDC00 || low >= 0xE000) return false;
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
    }
    append_utf8(out, point);
    return true;
}

}  // namespace

bool JsonCursor::fail(char wanted) {
    if (done()) return fail(fmt::format("it ends where '{}' is missing", wanted));
    return fail(fmt::format("'{}' is missing before character {}", wanted, *at_ + 1));
}

bool JsonCursor::undo_escapes(std::string_view& raw, std::string& scratch, std::string_view what) {
    if (!unescape(raw, scratch)) return fail(fmt::format("an escape in a {} is none", what));
    raw = scratch;
    return true;
}

bool JsonCursor::value(std::string_view& text, int depth) {
    if (done()) return fail("it ends where a value is missing");
    if (depth > deepest) return fail(fmt::format("it is nested deeper than {} levels", deepest));
    const char* begin = text_.data() + *at_;
    std::string_view ignored;
    auto inner = [&] { return value(ignored, depth + 1); };
    switch (peek()) {
        case '{':
            if (!object([&](std::string_view key) {
                    std::string scratch;
                    return plain(key, scratch, "name") && inner();
                }))
                return false;
            text = {begin, static_cast<size_t>(text_.data() + at_[-1] + 1 - begin)};
            return true;
        case '[':
            if (!array(inner)) return false;
            text = {begin, static_cast<size_t>(text_.data() + at_[-1] + 1 - begin)};
            return true;
        case '"': {
            std::string_view raw;
            std::string scratch;
            if (!string(raw)) return false;
            text = {begin, raw.size() + 2};
            return plain(raw, scratch);
        }
        default: break;
    }
    size_t where = *at_ + 1;
    text = token();
    if (text == "true" || text == "false" || text == "null" || is_number(text)) return true;
    return fail(fmt::format("what stands at character {} is no value", where));
}

bool JsonCursor::enter(std::string_view name) {
    std::string scratch;
    bool found = false;
    if (peek() != '{') return false;
    // Ends at the value by a visit that is false.
    object([&](std::string_view raw) {
        if (!plain(raw, scratch, "name")) return false;
        found = raw == name;
        return !found && skip();
    });
    return found;
}

bool JsonCursor::skip() {
    int open = 0;
    do {
        if (done()) return fail("it ends within a value");
        char c = peek();
        if (c == '{' || c == '[') ++open;
        if (c == '}' || c == ']') --open;
        ++at_;
    } while (open > 0);
    return true;
}

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool is_number(std::string_view token) {
    size_t i = token.starts_with('-') ? 1 : 0;
    auto digits = [&] {
        size_t begin = i;
        while (i < token.size() && is_digit(token[i])) ++i;
        return i - begin;
    };
    size_t first = i;
    size_t whole = digits();
    if (whole == 0 || (whole > 1 && token[first] == '0')) return false;
    if (i < token.size() && token[i] == '.') {
        ++i;
        if (digits() == 0) return false;
    }
    if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
        ++i;
        if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
        if (digits() == 0) return false;
    }
    return i == token.size();
}

bool unescape(std::string_view raw, std::string& out) {
    out.clear();
    for (size_t i = 0; i < raw.size();) {
        size_t escape = raw.find('\\', i);
        if (escape == raw.npos) escape = raw.size();
        out.append(raw, i, escape - i);
        i = escape;
        if (i == raw.size()) break;
        if (i + 1 == raw.size()) return false;
        char c = raw[i + 1];
        i += 2;
        switch (c) {
            case '"':
            case '\\':
            case '/': out += c; break;
            case 'b': out += '\b'; break;
            case 'f': out += '\f'; break;
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case 'u':
                if (!append_point(raw, i, out)) return false;
                break;
            default: return false;
        }
    }
    return true;
}

}  // namespace penstock::events
