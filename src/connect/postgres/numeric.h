#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/block.h"

namespace penstock::postgres {

/// numeric on the wire (numeric_send): base-10000 digits, the weight of the first, a sign word, the display scale.
class Numeric {
  public:
    enum class Special : uint8_t { none, nan, infinity, minus_infinity };

    /// Nothing when the bytes are no numeric. Keeps a view into `bytes`.
    static std::optional<Numeric> parse(std::string_view bytes);

    Special special() const { return special_; }

    /// The value times 10^scale, exactly; nothing when a digit would be lost or `precision` digits do not hold it.
    /// Specials have no such value.
    std::optional<data::Int128> scaled(int precision, int scale) const;

    /// PostgreSQL's own text: -12.340, NaN, Infinity.
    std::string text() const;

    /// Digits without leading zeros, and digits after the point without trailing ones: what a column needs to hold it.
    int precision() const;
    int scale() const;

    /// scaled() of wire bytes without 128-bit arithmetic, for values below `limit` (at most 10^18). Nothing does not mean that
    /// the value cannot be held, only that parse() and scaled() have to find out.
    static std::optional<int64_t> scaled_small(std::string_view bytes, int scale, int64_t limit);

  private:
    int digit(int index) const;

    std::string_view digits_;  // two bytes each
    int count_ = 0;
    int weight_ = 0;
    int display_scale_ = 0;
    bool negative_ = false;
    Special special_ = Special::none;
};

}  // namespace penstock::postgres
