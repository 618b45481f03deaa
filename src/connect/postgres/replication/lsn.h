#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::postgres {

/// A place in the server's write-ahead log, in bytes from its beginning. It turns into its number and back by itself, so it
/// compares like one; 0 is no place. Its text is PostgreSQL's: "16/B374D848".
struct Lsn {
    uint64_t value = 0;

    constexpr Lsn() = default;
    constexpr Lsn(uint64_t number) : value(number) {}  // NOLINT: a number is a place
    constexpr operator uint64_t() const { return value; }

    std::string text() const;

    /// What pg_lsn's own input takes: one to eight hexadecimal digits on each side of a slash, and nothing else.
    static std::optional<Lsn> parse(std::string_view text);
};

}  // namespace penstock::postgres
