#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::bigquery {

// Values in BigQuery's canonical text forms ("Data types", "Conversion rules"). Nothing where a text is none.

/// "2024-02-29" as days since 1970.
std::optional<int32_t> parse_date(std::string_view text);
/// "23:59:59.999999" as microseconds.
std::optional<int64_t> parse_time(std::string_view text);
/// "2024-02-29T12:00:00.5", with T or a space, as microseconds since 1970.
std::optional<int64_t> parse_datetime(std::string_view text);
/// The same with an offset: Z, +00, +05:30; as microseconds of UTC. Without offset it is UTC.
std::optional<int64_t> parse_timestamp(std::string_view text);

struct IntervalParts {
    int64_t months = 0;
    int64_t days = 0;
    int64_t micros = 0;
};
/// "1-2 3 4:5:6.789": Y-M D H:M:S.F, each part with a sign of its own.
std::optional<IntervalParts> parse_interval(std::string_view text);

std::string date_text(int32_t days);
/// "2024-02-29 12:00:00.5"
std::string datetime_text(int64_t micros);
std::string interval_text(int64_t months, int64_t days, int64_t micros);

/// An unscaled integer with its point, no zeros at the end of the fraction: "12.5".
std::string decimal_text(std::string unscaled, int scale);
/// Back to an integer of that scale: "12.5" and 2 are "1250". Nothing where digits would be lost.
std::optional<std::string> unscaled_text(std::string_view text, int scale);

}  // namespace penstock::bigquery
