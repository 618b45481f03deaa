#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/block.h"

namespace penstock::debezium {

/// "1234.50" of 123450 and scale 2.
void append_decimal(data::Int128 unscaled, int scale, std::string& out);

/// base64 of the shortest big-endian two's complement, as Java's BigInteger has it.
void append_unscaled(data::Int128 unscaled, std::string& out);

/// An exact number of any length, out of its decimal text.
struct DecimalText {
    bool negative = false;
    std::string digits;  ///< without point
    int scale = 0;       ///< digits after the point
};
/// "-0012.340": nothing for what is no plain number, NaN and Infinity included.
std::optional<DecimalText> parse_decimal(std::string_view text);
void append_unscaled(const DecimalText& number, std::string& out);

/// PostgreSQL's money in any lc_monetary ("$1,234.50", "-1.234,50 €", "(¥12)"), as a number of scale 2. A separator with
/// two digits behind it is the point: those between groups have three.
std::optional<DecimalText> parse_money(std::string_view text);

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace penstock::debezium
