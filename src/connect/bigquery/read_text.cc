#include "connect/bigquery/read_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>

#include "base/calendar.h"

namespace penstock::bigquery {
namespace {

/// Takes digits off the front.
std::optional<int64_t> take_number(std::string_view& text, size_t most_digits = 12) {
    size_t count = 0;
    while (count < text.size() && count < most_digits && std::isdigit(static_cast<unsigned char>(text[count])) != 0)
        ++count;
    int64_t value = 0;
    if (count == 0) return std::nullopt;
    std::from_chars(text.data(), text.data() + count, value);
    text.remove_prefix(count);
    return value;
}

bool take(std::string_view& text, char letter) {
    if (!text.starts_with(letter)) return false;
    text.remove_prefix(1);
    return true;
}

/// ".5" as 500000.
std::optional<int64_t> take_fraction(std::string_view& text) {
    if (!take(text, '.')) return 0;
    size_t before = text.size();
    auto value = take_number(text, 6);
    if (!value) return std::nullopt;
    for (size_t digits = before - text.size(); digits < 6; ++digits) *value *= 10;
    return value;
}

std::optional<int32_t> take_date(std::string_view& text) {
    bool long_enough = text.size() > 4 && text[4] == '-';
    auto year = long_enough ? take_number(text, 4) : std::nullopt;
    if (!year || !take(text, '-')) return std::nullopt;
    auto month = take_number(text, 2);
    if (!month || !take(text, '-')) return std::nullopt;
    auto day = take_number(text, 2);
    if (!day) return std::nullopt;
    std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                     std::chrono::month(static_cast<unsigned>(*month)),
                                     std::chrono::day(static_cast<unsigned>(*day)));
    if (!date.ok()) return std::nullopt;
    return static_cast<int32_t>(std::chrono::sys_days(date).time_since_epoch().count());
}

/// "12:30[:15[.5]]"
std::optional<int64_t> take_clock(std::string_view& text) {
    auto hour = take_number(text);
    if (!hour || !take(text, ':')) return std::nullopt;
    auto minute = take_number(text, 2);
    if (!minute) return std::nullopt;
    int64_t second = 0, fraction = 0;
    if (take(text, ':')) {
        auto given = take_number(text, 2);
        auto rest = given ? take_fraction(text) : std::nullopt;
        if (!rest) return std::nullopt;
        second = *given, fraction = *rest;
    }
    return ((*hour * 60 + *minute) * 60 + second) * micros_per_second + fraction;
}

std::optional<int64_t> take_moment(std::string_view& text) {
    auto days = take_date(text);
    if (!days) return std::nullopt;
    int64_t micros = *days * micros_per_day;
    if (text.empty() || (text[0] != 'T' && text[0] != 't' && text[0] != ' ')) return micros;
    text.remove_prefix(1);
    auto clock = take_clock(text);
    if (!clock || *clock >= micros_per_day) return std::nullopt;
    return micros + *clock;
}

/// "+05:30" in microseconds, to be taken off.
std::optional<int64_t> take_offset(std::string_view& text) {
    if (take(text, ' ') && text.empty()) return std::nullopt;
    if (text.empty() || take(text, 'Z') || take(text, 'z')) return 0;
    if (text == "UTC") return text.remove_prefix(3), 0;
    bool negative = text[0] == '-';
    if (!take(text, '+') && !take(text, '-')) return std::nullopt;
    auto hours = take_number(text, 2);
    if (!hours) return std::nullopt;
    int64_t minutes = 0;
    take(text, ':');
    if (!text.empty()) {
        auto given = take_number(text, 2);
        if (!given) return std::nullopt;
        minutes = *given;
    }
    int64_t micros = (*hours * 60 + minutes) * 60 * micros_per_second;
    return negative ? -micros : micros;
}

template <class Value>
std::optional<Value> whole(std::optional<Value> value, std::string_view rest) {
    return rest.empty() ? value : std::nullopt;
}

std::string fraction_text(int64_t micros) {
    if (micros == 0) return "";
    std::string text = fmt::format(".{:06}", micros);
    text.erase(text.find_last_not_of('0') + 1);
    return text;
}

}  // namespace

std::optional<int32_t> parse_date(std::string_view text) {
    auto days = take_date(text);
    return whole(days, text);
}

std::optional<int64_t> parse_time(std::string_view text) {
    auto micros = take_clock(text);
    return whole(micros, text);
}

std::optional<int64_t> parse_datetime(std::string_view text) {
    auto micros = take_moment(text);
    return whole(micros, text);
}

std::optional<int64_t> parse_timestamp(std::string_view text) {
    auto micros = take_moment(text);
    auto offset = micros ? take_offset(text) : std::nullopt;
    if (!offset) return std::nullopt;
    return whole(std::optional<int64_t>(*micros - *offset), text);
}

std::optional<IntervalParts> parse_interval(std::string_view text) {
    IntervalParts parts;
    bool negative = take(text, '-');
    auto years = take_number(text);
    if (!years || !take(text, '-')) return std::nullopt;
    auto months = take_number(text);
    if (!months || !take(text, ' ')) return std::nullopt;
    parts.months = (*years * 12 + *months) * (negative ? -1 : 1);
    negative = take(text, '-');
    auto days = take_number(text);
    if (!days || !take(text, ' ')) return std::nullopt;
    parts.days = *days * (negative ? -1 : 1);
    negative = take(text, '-');
    auto micros = take_clock(text);
    if (!micros) return std::nullopt;
    parts.micros = *micros * (negative ? -1 : 1);
    return whole(std::optional(parts), text);
}

std::string date_text(int32_t days) {
    std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
    return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()));
}

std::string datetime_text(int64_t micros) {
    int64_t days = micros / micros_per_day;
    if (days * micros_per_day > micros) --days;
    int64_t rest = micros - days * micros_per_day;
    int64_t seconds = rest / micros_per_second;
    return fmt::format("{} {:02}:{:02}:{:02}{}", date_text(static_cast<int32_t>(days)), seconds / 3600,
                       seconds / 60 % 60, seconds % 60, fraction_text(rest % micros_per_second));
}

std::string interval_text(int64_t months, int64_t days, int64_t micros) {
    int64_t size = std::abs(micros), seconds = size / micros_per_second;
    return fmt::format("{}{}-{} {} {}{}:{}:{}{}", months < 0 ? "-" : "", std::abs(months) / 12, std::abs(months) % 12,
                       days, micros < 0 ? "-" : "", seconds / 3600, seconds / 60 % 60, seconds % 60,
                       fraction_text(size % micros_per_second));
}

std::string decimal_text(std::string unscaled, int scale) {
    if (scale == 0) return unscaled;
    bool negative = unscaled.starts_with('-');
    std::string digits = unscaled.substr(negative ? 1 : 0);
    auto places = static_cast<size_t>(scale);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    std::string fraction = digits.substr(digits.size() - places);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    return fmt::format("{}{}{}{}", negative ? "-" : "", digits.substr(0, digits.size() - places),
                       fraction.empty() ? "" : ".", fraction);
}

std::optional<std::string> unscaled_text(std::string_view text, int scale) {
    bool negative = take(text, '-');
    if (!negative) take(text, '+');
    auto point = text.find('.');
    std::string digits(text.substr(0, point));
    std::string fraction(point == text.npos ? std::string_view() : text.substr(point + 1));
    fraction.erase(fraction.find_last_not_of('0') + 1);
    if (fraction.size() > static_cast<size_t>(scale) || text.empty() || text == ".") return std::nullopt;
    fraction.resize(static_cast<size_t>(scale), '0');
    digits += fraction;
    bool good = !digits.empty() && std::ranges::all_of(digits, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!good) return std::nullopt;
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return negative ? "-" + digits : digits;
}

}  // namespace penstock::bigquery
