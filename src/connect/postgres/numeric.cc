#include "connect/postgres/numeric.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "connect/postgres/wire.h"

namespace penstock::postgres {
namespace {

__extension__ using Unsigned128 = unsigned __int128;

constexpr auto powers_of_ten = [] {
    std::array<Unsigned128, 39> powers{};
    powers[0] = 1;
    for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
    return powers;
}();

int decimal_digits(int group) { return group >= 1000 ? 4 : group >= 100 ? 3 : group >= 10 ? 2 : 1; }

int trailing_zeros(int group) { return group % 10 != 0 ? 0 : group % 100 != 0 ? 1 : group % 1000 != 0 ? 2 : 3; }

}  // namespace

std::optional<Numeric> Numeric::parse(std::string_view bytes) {
    WireCursor wire(bytes);
    Numeric out;
    out.count_ = wire.integer<uint16_t>();
    out.weight_ = wire.integer<int16_t>();
    auto sign = wire.integer<uint16_t>();
    out.display_scale_ = wire.integer<int16_t>();
    if (!wire.ok() || out.display_scale_ < 0) return std::nullopt;
    switch (sign) {
        case 0x0000: break;
        case 0x4000: out.negative_ = true; break;
        case 0xC000: out.special_ = Special::nan; break;
        case 0xD000: out.special_ = Special::infinity; break;
        case 0xF000: out.special_ = Special::minus_infinity; break;
        default: return std::nullopt;
    }
    out.digits_ = wire.bytes(static_cast<size_t>(out.count_) * 2);
    if (!wire.ok() || !wire.done()) return std::nullopt;
    for (int i = 0; i < out.count_; ++i)
        if (out.digit(i) < 0 || out.digit(i) > 9999) return std::nullopt;
    // numeric_send never writes zero groups at either end, but nothing forbids a peer to.
    while (out.count_ > 0 && out.digit(0) == 0) {
        out.digits_.remove_prefix(2);
        --out.count_;
        --out.weight_;
    }
    while (out.count_ > 0 && out.digit(out.count_ - 1) == 0) --out.count_;
    return out;
}

std::optional<int64_t> Numeric::scaled_small(std::string_view bytes, int scale, int64_t limit) {
    if (bytes.size() < 8 || bytes.size() > 16) return std::nullopt;
    auto head = load_big_endian<uint64_t>(bytes.data());  // count, weight, sign, display scale
    auto count = static_cast<int>(head >> 48);
    if (bytes.size() != 8 + static_cast<size_t>(count) * 2 || (head & 0xbfff'8000) != 0) return std::nullopt;
    if (count == 0) return 0;
    int64_t value = 0;
    bool valid = true;
    for (int i = 0; i < count; ++i) {
        auto group = load_big_endian<uint16_t>(bytes.data() + 8 + i * 2);
        valid &= group <= 9999;
        value = value * 10000 + group;
    }
    if (!valid) return std::nullopt;
    int exponent = (static_cast<int16_t>(head >> 32) - count + 1) * 4 + scale;
    switch (exponent) {
        case 0: break;
        case -1:
            if (value % 10 != 0) return std::nullopt;
            value /= 10;
            break;
        case -2:
            if (value % 100 != 0) return std::nullopt;
            value /= 100;
            break;
        case -3:
            if (value % 1000 != 0) return std::nullopt;
            value /= 1000;
            break;
        default:
            if (exponent < 0 || exponent > 18) return std::nullopt;
            if (__builtin_mul_overflow(value, static_cast<int64_t>(powers_of_ten[static_cast<size_t>(exponent)]),
                                       &value))
                return std::nullopt;
    }
    if (value >= limit) return std::nullopt;
    return (head & 0x4000'0000) != 0 ? -value : value;
}

int Numeric::digit(int index) const { return load_big_endian<int16_t>(digits_.data() + index * 2); }

std::optional<data::Int128> Numeric::scaled(int precision, int scale) const {
    if (special_ != Special::none) return std::nullopt;
    if (count_ == 0) return 0;
    // The first group alone has at least this power of ten; beyond 38 digits nothing fits.
    if (weight_ * 4 + scale >= 39) return std::nullopt;
    Unsigned128 value = 0;
    int exponent = weight_ * 4 + scale;  // power of ten of the current group's last digit, after scaling
    for (int i = 0; i < count_; ++i, exponent -= 4) {
        auto group = static_cast<Unsigned128>(digit(i));
        if (exponent >= 0) {
            if (group > powers_of_ten[38] / powers_of_ten[static_cast<size_t>(exponent)]) return std::nullopt;
            value += group * powers_of_ten[static_cast<size_t>(exponent)];
        } else {
            if (exponent <= -4) return std::nullopt;  // a non-zero group lies behind the last digit held
            auto divisor = powers_of_ten[static_cast<size_t>(-exponent)];
            if (group % divisor != 0) return std::nullopt;
            value += group / divisor;
        }
        if (value >= powers_of_ten[static_cast<size_t>(precision)]) return std::nullopt;
    }
    auto magnitude = static_cast<data::Int128>(value);
    return negative_ ? -magnitude : magnitude;
}

std::string Numeric::text() const {
    switch (special_) {
        case Special::none: break;
        case Special::nan: return "NaN";
        case Special::infinity: return "Infinity";
        case Special::minus_infinity: return "-Infinity";
    }
    std::string out = negative_ && count_ > 0 ? "-" : "";
    if (weight_ < 0 || count_ == 0) out += '0';
    for (int i = 0; count_ > 0 && i <= weight_; ++i) {
        int group = i < count_ ? digit(i) : 0;
        out += i == 0 ? fmt::format("{}", group) : fmt::format("{:04}", group);
    }
    if (display_scale_ == 0) return out;
    out += '.';
    size_t wanted = out.size() + static_cast<size_t>(display_scale_);
    for (int i = count_ > 0 ? weight_ + 1 : 0; out.size() < wanted; ++i)
        out += fmt::format("{:04}", i >= 0 && i < count_ ? digit(i) : 0);
    out.resize(wanted);
    return out;
}

int Numeric::scale() const {
    if (count_ == 0) return 0;
    int groups_after_point = count_ - 1 - weight_;
    return std::max(0, groups_after_point * 4 - trailing_zeros(digit(count_ - 1)));
}

int Numeric::precision() const {
    if (count_ == 0) return 1;
    int integer_digits = weight_ >= 0 ? weight_ * 4 + decimal_digits(digit(0)) : 0;
    int leading = weight_ < 0 ? (-weight_ - 1) * 4 + 4 - decimal_digits(digit(0)) : 0;
    return std::max(1, integer_digits + scale() - leading);
}

}  // namespace penstock::postgres
