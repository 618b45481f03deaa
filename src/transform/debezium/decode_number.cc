#include "transform/debezium/decode_number.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "transform/debezium/decimals.h"

namespace penstock::debezium {
namespace {

/// PostgreSQL's numeric: 131072 digits before the point, 16383 behind it.
constexpr int64_t most_before = 131072;
constexpr int64_t most_behind = 16383;

/// Big-endian magnitude to decimal digits, nine at a time.
std::string to_digits(std::vector<uint32_t> limbs) {
    std::string reversed;
    size_t first = 0;
    while (first < limbs.size() && limbs[first] == 0) ++first;
    while (first < limbs.size()) {
        uint64_t rest = 0;
        for (size_t i = first; i < limbs.size(); ++i) {
            uint64_t part = rest << 32 | limbs[i];
            limbs[i] = static_cast<uint32_t>(part / 1'000'000'000);
            rest = part % 1'000'000'000;
        }
        while (first < limbs.size() && limbs[first] == 0) ++first;
        for (int i = 0; i < 9; ++i, rest /= 10) reversed += static_cast<char>('0' + rest % 10);
    }
    while (reversed.ends_with('0')) reversed.pop_back();
    std::ranges::reverse(reversed);
    return reversed;
}

}  // namespace

std::optional<int64_t> parse_integer(std::string_view token) {
    std::string_view digits = token.starts_with('-') ? token.substr(1) : token;
    if (digits.empty() || !is_digit(digits[0]) || (digits[0] == '0' && digits.size() > 1)) return std::nullopt;
    int64_t value = 0;
    auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc() || end != token.data() + token.size()) return std::nullopt;
    return value;
}

std::optional<Digits> Digits::parse(std::string_view text) {
    Digits out;
    if (text.starts_with('-') || text.starts_with('+')) {
        out.negative = text[0] == '-';
        text.remove_prefix(1);
    }
    bool any = false, point = false;
    int64_t behind = 0;
    while (!text.empty() && (is_digit(text[0]) || (text[0] == '.' && !point))) {
        if (text[0] == '.') {
            point = true;
        } else {
            any = true;
            behind += point;
            if (text[0] != '0' || !out.digits.empty()) out.digits += text[0];
        }
        text.remove_prefix(1);
    }
    int64_t exponent = 0;
    if (any && !text.empty() && (text[0] == 'e' || text[0] == 'E')) {
        text.remove_prefix(1);
        if (text.starts_with('+')) text.remove_prefix(1);
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
        if (error != std::errc()) return std::nullopt;
        text.remove_prefix(static_cast<size_t>(end - text.data()));
    }
    if (!any || !text.empty() || exponent > 1'000'000 || exponent < -1'000'000) return std::nullopt;
    out.scale = static_cast<int32_t>(behind - exponent);
    if (out.digits.empty()) out.negative = false;
    return out;
}

Digits Digits::of_unscaled(std::string_view bytes, int32_t scale) {
    Digits out{.scale = scale};
    if (bytes.empty()) return out;
    out.negative = (static_cast<uint8_t>(bytes[0]) & 0x80) != 0;
    std::vector<uint32_t> limbs((bytes.size() + 3) / 4, 0);
    size_t shift = limbs.size() * 4 - bytes.size();
    for (size_t i = 0; i < limbs.size() * 4; ++i) {
        auto byte = i < shift ? static_cast<uint8_t>(out.negative ? 0xff : 0) : static_cast<uint8_t>(bytes[i - shift]);
        limbs[i / 4] = limbs[i / 4] << 8 | byte;
    }
    if (out.negative) {
        uint64_t carry = 1;
        for (size_t i = limbs.size(); i-- > 0;) {
            carry += static_cast<uint32_t>(~limbs[i]);
            limbs[i] = static_cast<uint32_t>(carry);
            carry >>= 32;
        }
    }
    out.digits = to_digits(std::move(limbs));
    return out;
}

std::optional<data::Int128> Digits::scaled(int precision, int wanted) const {
    if (digits.empty()) return data::Int128{0};
    std::string_view kept = digits;
    int64_t zeros = int64_t{wanted} - scale;
    for (; zeros < 0; ++zeros) {
        if (!kept.ends_with('0')) return std::nullopt;
        kept.remove_suffix(1);
    }
    if (static_cast<int64_t>(kept.size()) + zeros > precision) return std::nullopt;
    data::Int128 value = 0;
    for (char digit : kept) value = value * 10 + (digit - '0');
    for (; zeros > 0; --zeros) value *= 10;
    return negative ? -value : value;
}

std::optional<std::string> Digits::text() const {
    auto count = static_cast<int64_t>(digits.size());
    if (scale > most_behind || (!digits.empty() && count - scale > most_before) || -int64_t{scale} > most_before)
        return std::nullopt;
    std::string out = negative ? "-" : "";
    if (count - scale <= 0) out += '0';
    else if (scale >= 0) out.append(digits, 0, static_cast<size_t>(count - scale));
    else if (digits.empty()) out += '0';
    else out.append(digits).append(static_cast<size_t>(-scale), '0');
    if (scale <= 0) return out;
    out += '.';
    if (count < scale) out.append(static_cast<size_t>(scale - count), '0').append(digits);
    else out.append(digits, static_cast<size_t>(count - scale));
    return out;
}

int64_t Digits::needed_scale() const {
    auto zeros = digits.size() - std::min(digits.size(), digits.find_last_not_of('0') + 1);
    return digits.empty() ? 0 : std::max<int64_t>(int64_t{scale} - static_cast<int64_t>(zeros), 0);
}

int64_t Digits::needed_precision() const {
    int64_t before = std::max<int64_t>(static_cast<int64_t>(digits.size()) - scale, 0);
    return std::max<int64_t>(before + needed_scale(), 1);
}

void store_decimal(data::Int128 value, data::Column& column, size_t row) {
    switch (column.layout()) {
        case data::Layout::int16: column.values<int16_t>()[row] = static_cast<int16_t>(value); break;
        case data::Layout::int32: column.values<int32_t>()[row] = static_cast<int32_t>(value); break;
        case data::Layout::int64: column.values<int64_t>()[row] = static_cast<int64_t>(value); break;
        default: column.values<data::Int128>()[row] = value;
    }
}

}  // namespace penstock::debezium
