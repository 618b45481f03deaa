#include "schedule/times.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace penstock::schedule {

using namespace std::chrono;

Result<Times> Times::read(const std::string& schedule, const std::string& timezone) {
    Times times;
    PN_TRY(times.cron_, config::parse_cron(schedule));
    PN_TRY(times.zone_, Zone::find(timezone.empty() ? "UTC" : timezone));
    return times;
}

std::optional<TimePoint> Times::next(TimePoint after) const {
    auto instant = floor<seconds>(after);
    if (cron_.every.count() != 0)
        return TimePoint(floor<seconds>(instant.time_since_epoch()) / cron_.every * cron_.every + cron_.every);
    return cron_.by_elapsed_time ? next_by_elapsed_time(instant) : next_by_clock(instant);
}

std::optional<Zone::Instant> Times::next_by_elapsed_time(Zone::Instant after) const {
    auto from = floor<minutes>(after) + minutes(1);
    auto age = from + days(9 * 366);
    for (Zone::Instant at = from; at < age;) {
        auto period = zone_.at(at);
        Zone::Local local((at + period.offset).time_since_epoch());
        auto found = cron_.first_from(ceil<minutes>(local));
        if (!found) return std::nullopt;
        Zone::Instant instant(found->time_since_epoch() - period.offset);
        if (instant < period.end) return instant;
        at = period.end;
    }
    return std::nullopt;
}

std::optional<Zone::Instant> Times::next_by_clock(Zone::Instant after) const {
    auto local = zone_.local(after);
    // Where clocks were set not long ago, times before this one on the clock may be due after it, or at it.
    if (auto period = zone_.at(after); period.begin > after - hours(25)) local -= hours(25);
    auto found = cron_.first_from(floor<minutes>(local));
    for (; found; found = cron_.first_from(*found + minutes(1)))
        if (auto instant = zone_.instant(*found); instant > after) return instant;
    return std::nullopt;
}

std::optional<TimePoint> Times::previous(TimePoint before) const {
    for (auto back : std::array<seconds, 6>{minutes(2), hours(2), hours(49), days(63), days(800), days(9 * 366)}) {
        std::optional<TimePoint> last;
        for (auto at = next(before - back); at && *at < before; at = next(*at)) last = at;
        if (last) return last;
    }
    return std::nullopt;
}

Result<TimePoint> read_moment(const std::string& text, const Zone& zone) {
    int year_ = 0, month_ = 0, day_ = 0, hour = 0, minute = 0, second = 0, used = 0;
    int fields = std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &year_, &month_, &day_, &used);
    size_t at = fields == 3 && used == 10 && text[0] >= '0' && text[0] <= '9' ? static_cast<size_t>(used) : std::string::npos;
    if (at < text.size() && (text[at] == 'T' || text[at] == ' ')) {
        used = 0;
        int parts = std::sscanf(text.c_str() + at + 1, "%2d:%2d%n:%2d%n", &hour, &minute, &used, &second, &used);
        at = parts >= 2 ? at + 1 + static_cast<size_t>(used) : std::string::npos;
    }
    bool utc = at < text.size() && text.substr(at) == "Z";
    year_month_day date{year(year_), month(static_cast<unsigned>(month_)), day(static_cast<unsigned>(day_))};
    bool good = at != std::string::npos && (utc || at == text.size()) && date.ok() && hour >= 0 && hour < 24 &&
                minute >= 0 && minute < 60 && second >= 0 && second < 60;
    if (!good)
        return fail({.kind = ErrorKind::configuration,
                     .code = "not_a_moment",
                     .message = fmt::format("'{}' is no day or moment", text),
                     .hint = "such as 2026-11-01, 2026-11-01T06:30 or 2026-11-01T06:30:00Z"});
    auto of_day = hours(hour) + minutes(minute) + seconds(second);
    if (utc) return TimePoint(sys_days(date) + of_day);
    return TimePoint(zone.instant(Zone::Local(local_days(date) + of_day)));
}

}  // namespace penstock::schedule
