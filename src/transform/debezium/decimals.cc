#include "transform/debezium/decimals.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "transform/debezium/json_text.h"

namespace penstock::debezium {
namespace {

__extension__ using Unsigned128 = unsigned __int128;

/// Big-endian bytes of the magnitude, negated where asked, without bytes that say nothing.
void append_twos_complement(std::string magnitude, bool negative, std::string& out) {
    magnitude.insert(0, 1, '\0');  // room for the sign
    if (negative) {
        bool carry = true;
        for (auto byte = magnitude.rbegin(); byte != magnitude.rend(); ++byte) {
            *byte = static_cast<char>(~*byte);
            if (carry) carry = ++*byte == '\0';
        }
    }
    size_t from = 0;
    auto says_nothing = [&](size_t at) {
        bool next_is_negative = (magnitude[at + 1] & '\x80') != 0;
        return next_is_negative ? magnitude[at] == '\xff' : magnitude[at] == '\0';
    };
    while (from + 1 < magnitude.size() && says_nothing(from)) ++from;
    append_base64(std::string_view(magnitude).substr(from), out);
}

}  // namespace

void append_decimal(data::Int128 unscaled, int scale, std::string& out) {
    bool negative = unscaled < 0;
    auto rest = negative ? -static_cast<Unsigned128>(unscaled) : static_cast<Unsigned128>(unscaled);
    std::array<char, 44> text;
    char* begin = text.data() + text.size();
    int digits = 0;
    // 64-bit divisions where they will do.
    while (rest != 0 || digits <= scale) {
        if (digits == scale && scale != 0) *--begin = '.';
        uint64_t digit;
        if (rest <= UINT64_MAX) {
            auto low = static_cast<uint64_t>(rest);
            digit = low % 10;
            rest = low / 10;
        } else {
            digit = static_cast<uint64_t>(rest % 10);
            rest /= 10;
        }
        *--begin = static_cast<char>('0' + digit);
        ++digits;
    }
    if (negative) *--begin = '-';
    out.append(begin, static_cast<size_t>(text.data() + text.size() - begin));
}

void append_unscaled(data::Int128 unscaled, std::string& out) {
    std::array<char, 16> bytes;
    for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<char>(unscaled >> (8 * (15 - i)));
    size_t from = 0;
    char filler = unscaled < 0 ? '\xff' : '\0';
    while (from < 15 && bytes[from] == filler && ((bytes[from + 1] ^ filler) & '\x80') == 0) ++from;
    append_base64({bytes.data() + from, 16 - from}, out);
}

std::optional<DecimalText> parse_decimal(std::string_view text) {
    DecimalText out;
    if (text.starts_with('-')) {
        out.negative = true;
        text.remove_prefix(1);
    }
    bool point = false;
    for (char c : text) {
        if (c == '.' && !point) {
            point = true;
        } else if (is_digit(c)) {
            out.digits += c;
            out.scale += point ? 1 : 0;
        } else {
            return std::nullopt;
        }
    }
    if (out.digits.empty()) return std::nullopt;
    return out;
}

void append_unscaled(const DecimalText& number, std::string& out) {
    // Base 10^9 into base 256: numbers beyond 38 digits are rare, and short.
    std::vector<uint32_t> limbs;  // little-endian, base 2^32
    for (size_t at = 0; at < number.digits.size();) {
        size_t take = std::min<size_t>(9, number.digits.size() - at);
        uint64_t carry = 0, scale = 1;
        for (size_t i = 0; i < take; ++i, scale *= 10)
            carry = carry * 10 + static_cast<uint64_t>(number.digits[at + i] - '0');
        for (auto& limb : limbs) {
            uint64_t value = limb * scale + carry;
            limb = static_cast<uint32_t>(value);
            carry = value >> 32;
        }
        if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
        at += take;
    }
    std::string magnitude;
    for (auto limb = limbs.rbegin(); limb != limbs.rend(); ++limb)
        for (int shift = 24; shift >= 0; shift -= 8) magnitude += static_cast<char>(*limb >> shift);
    append_twos_complement(std::move(magnitude), number.negative, out);
}

std::optional<DecimalText> parse_money(std::string_view text) {
    DecimalText out;
    size_t last = text.find_last_of("0123456789");
    if (last == text.npos) return std::nullopt;
    out.negative = text.find('-') != text.npos || text.find('(') != text.npos;
    size_t begin = last;
    while (begin > 0 && is_digit(text[begin - 1])) --begin;
    size_t tail = last + 1 - begin;
    bool fraction = tail == 2 && begin >= 2 && !is_digit(text[begin - 1]) && is_digit(text[begin - 2]);
    for (char c : text)
        if (is_digit(c)) out.digits += c;
    if (!fraction) out.digits += "00";
    out.scale = 2;
    return out;
}

}  // namespace penstock::debezium
