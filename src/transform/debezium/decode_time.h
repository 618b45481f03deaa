#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/block.h"

namespace penstock::debezium {

/// ISO 8601 as Debezium writes it, years of any length and sign. Nothing for other text.

/// "2024-02-29", "-0043-03-15Z": days since 1970 in the proleptic Gregorian calendar.
std::optional<int64_t> parse_date(std::string_view text);
/// "13:14:15.678Z": microseconds since midnight. A fraction of more than six digits must end in zeros.
std::optional<int64_t> parse_time(std::string_view text);

struct Instant {
    int64_t year;  ///< as written
    __extension__ __int128 micros;
};
/// "2024-02-29T12:34:56.789012Z", "…+02:00".
std::optional<Instant> parse_timestamp(std::string_view text);

/// "04:30:00Z", "10:00:00+05:30": micros << 24 | (57599 - offset seconds).
std::optional<int64_t> parse_zoned_time(std::string_view text);

/// "P1Y2M3DT4H5M6.7S", with signs.
std::optional<data::Interval> parse_interval(std::string_view text);

}  // namespace penstock::debezium
