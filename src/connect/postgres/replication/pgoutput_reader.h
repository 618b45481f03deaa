#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "connect/postgres/replication/pgoutput.h"
#include "connect/postgres/wire.h"

namespace penstock::postgres {

/// Reads one message front to back. The first thing that is wrong stays; what follows reads as zero.
class MessageReader {
  public:
    explicit MessageReader(std::string_view message, size_t from = 0)
        : size_(message.size()), rest_(message.substr(from)) {}

    template <class T>
    T integer() {
        if (rest_.size() < sizeof(T)) return cut(), T{};
        T value = load_big_endian<T>(rest_.data());
        rest_.remove_prefix(sizeof(T));
        return value;
    }

    /// An LSN that PostgreSQL never sends as zero.
    uint64_t lsn() {
        auto value = integer<uint64_t>();
        if (ok() && value == 0) wrong("an LSN is zero");
        return value;
    }

    /// A flag byte that is to be zero as yet.
    void no_flags() {
        auto flags = integer<uint8_t>();
        if (ok() && flags != 0) wrong(fmt::format("flags are {}", flags));
    }

    std::string_view text() {
        auto length = rest_.find('\0');
        if (length == std::string_view::npos) return cut(), std::string_view{};
        auto out = rest_.substr(0, length);
        rest_.remove_prefix(length + 1);
        return out;
    }

    /// Schema names leave out pg_catalog, to save space.
    std::string_view schema() {
        auto name = text();
        return name.empty() ? "pg_catalog" : name;
    }

    std::string_view counted() {
        auto length = integer<int32_t>();
        if (length < 0) return wrong("a length is negative"), std::string_view{};
        if (rest_.size() < static_cast<size_t>(length)) return cut(), std::string_view{};
        auto out = rest_.substr(0, static_cast<size_t>(length));
        rest_.remove_prefix(out.size());
        return out;
    }

    Tuple tuple(std::vector<Tuple::Value>& into);

    size_t left() const { return rest_.size(); }
    bool ok() const { return wrong_.empty(); }
    void cut() { wrong("it ends too early"); }
    void wrong(std::string what) {
        if (!ok()) return;
        wrong_ = fmt::format("{} (at byte {})", what, size_ - rest_.size());
        rest_ = {};
    }

    /// What is wrong, or nothing when the message was read to its end.
    std::string finish() {
        if (ok() && !rest_.empty()) wrong(fmt::format("{} bytes follow its end", rest_.size()));
        return std::move(wrong_);
    }

  private:
    bool value(Tuple::Value& out);

    size_t size_;
    std::string_view rest_;
    std::string wrong_;
};

/// A byte for people: the letter in quotes, or its number.
std::string shown_byte(char byte);

}  // namespace penstock::postgres
