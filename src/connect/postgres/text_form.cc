#include "connect/postgres/text_form.h"

#include <fmt/format.h>

#include <cstdlib>
#include <limits>

#include "base/calendar.h"
#include "connect/postgres/utf8.h"

namespace penstock::postgres {
namespace {

struct Day {
    int64_t year;
    unsigned month;
    unsigned day;
};

/// Howard Hinnant's civil_from_days, for any year that 64 bits hold. Days since 1970-01-01.
Day civil_from_days(int64_t days) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    auto day_of_era = static_cast<unsigned>(days - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    return {era * 400 + year_of_era + (month <= 2), month, day};
}

/// Year 0 is 1 BC. The era stands behind everything else.
std::string dated(int64_t days_since_2000, const std::string& rest) {
    Day date = civil_from_days(days_since_2000 + 10957);
    bool before_christ = date.year <= 0;
    return fmt::format("{:04}-{:02}-{:02}{}{}", before_christ ? 1 - date.year : date.year, date.month, date.day, rest,
                       before_christ ? " BC" : "");
}

}  // namespace

std::string date_text(int32_t days) {
    if (days == std::numeric_limits<int32_t>::max()) return "infinity";
    if (days == std::numeric_limits<int32_t>::min()) return "-infinity";
    return dated(days, "");
}

std::string timestamp_text(int64_t micros, bool with_zone) {
    if (micros == std::numeric_limits<int64_t>::max()) return "infinity";
    if (micros == std::numeric_limits<int64_t>::min()) return "-infinity";
    int64_t days = micros / micros_per_day, of_day = micros % micros_per_day;
    if (of_day < 0) --days, of_day += micros_per_day;
    return dated(days, " " + time_text(of_day) + (with_zone ? "+00" : ""));
}

std::string time_text(int64_t micros) {
    int64_t seconds = micros / 1'000'000;
    int64_t fraction = micros % 1'000'000;
    std::string out = fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (fraction == 0) return out;
    out += fmt::format(".{:06}", fraction);
    while (out.back() == '0') out.pop_back();
    return out;
}

std::string offset_text(int32_t seconds_east) {
    int seconds = std::abs(seconds_east);
    std::string out = fmt::format("{}{:02}:{:02}", seconds_east < 0 ? "-" : "+", seconds / 3600, seconds / 60 % 60);
    return seconds % 60 == 0 ? out : out + fmt::format(":{:02}", seconds % 60);
}

void append_json_string(std::string_view text, std::string& json) {
    json += '"';
    size_t valid = first_invalid_utf8(text);
    for (size_t i = 0; i < text.size(); ++i) {
        auto c = static_cast<unsigned char>(text[i]);
        if (i == valid) {
            json += fmt::format("\\\\x{:02x}", c);
            valid = i + 1 + first_invalid_utf8(text.substr(i + 1));
        } else if (c == '"' || c == '\\') {
            (json += '\\') += text[i];
        } else if (c < 0x20) {
            json += fmt::format("\\u{:04x}", c);
        } else {
            json += text[i];
        }
    }
    json += '"';
}

void append_json_bytes(std::string_view bytes, std::string& json) {
    json += "\"\\\\x";
    for (char c : bytes) json += fmt::format("{:02x}", static_cast<unsigned char>(c));
    json += '"';
}

}  // namespace penstock::postgres
