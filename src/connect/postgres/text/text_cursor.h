#pragma once

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace penstock::postgres {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads a text front to back. What is taken is gone; what is refused leaves the cursor where it was.
class TextCursor {
  public:
    explicit TextCursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

    bool done() const { return at_ == end_; }
    bool at(char c) const { return at_ != end_ && *at_ == c; }
    bool at_digit() const { return at_ != end_ && is_digit(*at_); }
    std::string_view rest() const { return {at_, static_cast<size_t>(end_ - at_)}; }

    bool take(char c) {
        if (!at(c)) return false;
        ++at_;
        return true;
    }
    bool take(std::string_view word) {
        if (!rest().starts_with(word)) return false;
        at_ += word.size();
        return true;
    }
    /// Any one character; not at the end.
    char next() { return *at_++; }

    /// '-', '+' or nothing: true for '-'.
    bool minus() {
        bool negative = take('-');
        if (!negative) take('+');
        return negative;
    }

    /// Digits without sign, as many as fit.
    template <class T>
    bool natural(T& value) {
        if (!at_digit()) return false;
        auto [after, error] = std::from_chars(at_, end_, value);
        if (error != std::errc()) return false;
        at_ = after;
        return true;
    }

    bool two_digits(int& value) {
        if (end_ - at_ < 2 || !is_digit(at_[0]) || !is_digit(at_[1])) return false;
        value = (at_[0] - '0') * 10 + (at_[1] - '0');
        at_ += 2;
        return true;
    }

    /// After a point: one to six digits, as millionths.
    bool millionths(int64_t& value) {
        int64_t unit = 1'000'000;
        for (value = 0; at_digit() && unit > 1; ++at_) value += (*at_ - '0') * (unit /= 10);
        return unit < 1'000'000 && !at_digit();
    }

    /// Up to the first of `ends`, or to the end.
    std::string_view until(std::string_view ends) {
        auto token = rest().substr(0, rest().find_first_of(ends));
        at_ += token.size();
        return token;
    }

  private:
    const char* at_;
    const char* end_;
};

/// Appends an integer in the wire's order.
template <class T>
void put(std::string& wire, T value) {
    if constexpr (sizeof(T) > 1) value = std::byteswap(value);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    wire.append(bytes, sizeof bytes);
}

/// Writes over what is there.
template <class T>
void put_at(std::string& wire, size_t position, T value) {
    value = std::byteswap(value);
    std::memcpy(wire.data() + position, &value, sizeof value);
}

}  // namespace penstock::postgres
