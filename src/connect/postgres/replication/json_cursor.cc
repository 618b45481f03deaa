#include "connect/postgres/replication/json_cursor.h"

#include <cstdint>
#include <cstring>

namespace penstock::postgres {
namespace {

constexpr int most_nested = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Four digits, which the cursor has checked.
uint32_t code_unit(const char* digits) {
    uint32_t out = 0;
    for (int i = 0; i < 4; ++i) out = out << 4 | static_cast<uint32_t>(hex_digit(digits[i]));
    return out;
}

size_t put_utf8(uint32_t code, char* to) {
    auto put = [&](size_t at, uint32_t byte) { to[at] = static_cast<char>(byte); };
    auto tail = [&](int shift) { return 0x80 | (code >> shift & 0x3f); };
    if (code < 0x80) return put(0, code), 1;
    if (code < 0x800) return put(0, 0xc0 | code >> 6), put(1, tail(0)), 2;
    if (code < 0x10000) return put(0, 0xe0 | code >> 12), put(1, tail(6)), put(2, tail(0)), 3;
    return put(0, 0xf0 | code >> 18), put(1, tail(12)), put(2, tail(6)), put(3, tail(0)), 4;
}

}  // namespace

char JsonCursor::peek() {
    if (!ok_) return '\0';
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
        ++at_;
    return here();
}

bool JsonCursor::take(char token) {
    if (peek() != token || !ok_ || at_ == text_.size()) return false;
    ++at_;
    return true;
}

std::string_view JsonCursor::raw(size_t count) {
    if (!ok_ || count > text_.size() - at_) return fail(), std::string_view{};
    auto out = text_.substr(at_, count);
    at_ += count;
    return out;
}

std::string_view JsonCursor::string() {
    peek();
    size_t from = at_;
    skip_string();
    return ok_ ? text_.substr(from + 1, at_ - from - 2) : std::string_view{};
}

std::string_view JsonCursor::value() {
    peek();
    size_t from = at_;
    skip_value(0);
    return ok_ ? text_.substr(from, at_ - from) : std::string_view{};
}

void JsonCursor::skip_string() {
    if (!ok_ || here() != '"') return fail();
    for (++at_; at_ < text_.size(); ++at_) {
        char c = text_[at_];
        if (c == '"') {
            ++at_;
            return;
        }
        if (static_cast<unsigned char>(c) < ' ') return fail();
        if (c != '\\') continue;
        ++at_;
        if (here() == 'u') {
            for (int i = 0; i < 4; ++i)
                if (++at_; hex_digit(here()) < 0) return fail();
        } else if (here() == '\0' || std::strchr("\"\\/bfnrt", here()) == nullptr) {
            return fail();
        }
    }
    fail();
}

void JsonCursor::skip_digits() {
    if (!is_digit(here())) return fail();
    while (is_digit(here())) ++at_;
}

void JsonCursor::skip_number() {
    if (here() == '-') ++at_;
    if (here() == '0') ++at_;
    else skip_digits();
    if (ok_ && here() == '.') ++at_, skip_digits();
    if (!ok_ || (here() != 'e' && here() != 'E')) return;
    ++at_;
    if (here() == '+' || here() == '-') ++at_;
    skip_digits();
}

void JsonCursor::skip_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return fail();
    at_ += word.size();
}

void JsonCursor::skip_value(int depth) {
    if (depth > most_nested) return fail();
    switch (peek()) {
        case '"': return skip_string();
        case 't': return skip_word("true");
        case 'f': return skip_word("false");
        case 'n': return skip_word("null");
        case '[': return array([&] { skip_value(depth + 1); });
        case '{': return object([&](std::string_view) { skip_value(depth + 1); });
        default: return skip_number();
    }
}

size_t unescape(std::string_view string, char* to) {
    char* out = to;
    const char* at = string.data();
    const char* end = at + string.size();
    while (at < end) {
        const auto* slash = static_cast<const char*>(std::memchr(at, '\\', static_cast<size_t>(end - at)));
        if (slash == nullptr) slash = end;
        std::memcpy(out, at, static_cast<size_t>(slash - at));
        out += slash - at;
        at = slash;
        if (at == end) break;
        if (end - at < 2) break;
        switch (at[1]) {
            case 'b': *out++ = '\b'; break;
            case 'f': *out++ = '\f'; break;
            case 'n': *out++ = '\n'; break;
            case 'r': *out++ = '\r'; break;
            case 't': *out++ = '\t'; break;
            case 'u': {
                if (end - at < 6) return static_cast<size_t>(out - to);
                uint32_t code = code_unit(at + 2);
                bool high = code >= 0xd800 && code < 0xdc00;
                uint32_t low = high && end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? code_unit(at + 8) : 0;
                if (low >= 0xdc00 && low < 0xe000) {
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    at += 6;
                } else if (code >= 0xd800 && code < 0xe000) {
                    code = 0xfffd;
                }
                out += put_utf8(code, out);
                at += 4;
                break;
            }
            default: *out++ = at[1];
        }
        at += 2;
    }
    return static_cast<size_t>(out - to);
}

}  // namespace penstock::postgres
