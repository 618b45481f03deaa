#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/block.h"

namespace penstock::debezium {

/// A decimal of any length: digits without leading zeros ("" is zero) and how many of them stand behind the point, which may
/// be negative or more than there are. Never by way of a double.
struct Digits {
    bool negative = false;
    std::string digits = {};
    int32_t scale = 0;

    /// "-12.30", "1e3"; nothing for other text, and for exponents that no column has use for.
    static std::optional<Digits> parse(std::string_view text);
    /// Of a big-endian two's complement; nothing of it is zero.
    static Digits of_unscaled(std::string_view bytes, int32_t scale);

    /// Times 10^scale, exactly; nothing when a digit would be lost or `precision` digits do not hold it.
    std::optional<data::Int128> scaled(int precision, int scale) const;
    /// As PostgreSQL writes it; nothing beyond what its numeric holds.
    std::optional<std::string> text() const;
    /// What a column needs to hold it.
    int64_t needed_precision() const;
    int64_t needed_scale() const;
};

/// An unscaled value into a column of decimals, in whatever integers it has.
void store_decimal(data::Int128 value, data::Column& column, size_t row);

/// The integer, without sign-prefix '+' and leading zeros as JSON has it; nothing for other tokens.
std::optional<int64_t> parse_integer(std::string_view token);

}  // namespace penstock::debezium
