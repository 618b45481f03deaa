#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace penstock::postgres {

/// A field of a row as it came: `length` bytes at `data`, or NULL with length -1.
struct FieldRef {
    const char* data = nullptr;
    int32_t length = -1;

    bool is_null() const { return length < 0; }
    std::string_view view() const { return {data, static_cast<size_t>(length)}; }
};

/// Integers of PostgreSQL's wire are in network byte order.
template <class T>
T load_big_endian(const char* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (sizeof(T) == 1) return value;
    else return std::byteswap(value);
}

/// Reads a run of bytes front to back. A short read turns `ok` false and yields zeros: callers check once, at the end.
class WireCursor {
  public:
    explicit WireCursor(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    bool ok() const { return ok_; }
    bool done() const { return at_ == end_; }
    size_t left() const { return static_cast<size_t>(end_ - at_); }

    template <class T>
    T integer() {
        if (left() < sizeof(T)) return ok_ = false, T{};
        T value = load_big_endian<T>(at_);
        at_ += sizeof(T);
        return value;
    }

    std::string_view bytes(size_t count) {
        if (left() < count) return ok_ = false, std::string_view{};
        std::string_view out(at_, count);
        at_ += count;
        return out;
    }

    /// A length word and that many bytes; -1 is NULL.
    FieldRef field() {
        auto length = integer<int32_t>();
        if (!ok_ || length == -1) return {};
        if (length < 0) return ok_ = false, FieldRef{};
        auto view = bytes(static_cast<size_t>(length));
        return {view.data(), ok_ ? length : -1};
    }

  private:
    const char* at_;
    const char* end_;
    bool ok_ = true;
};

/// Days and microseconds between PostgreSQL's epoch (2000-01-01) and 1970-01-01.
inline constexpr int32_t epoch_days = 10957;
inline constexpr int64_t epoch_micros = int64_t{epoch_days} * 86'400'000'000;

}  // namespace penstock::postgres
