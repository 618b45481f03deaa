#pragma once

#include <bitset>
#include <chrono>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace penstock::config {

/// When something is due on a clock on the wall: the five fields of a cron expression, or a step. What a clock does that is set
/// forward or back is not its business (schedule/times.h).
struct Cron {
    using Set = std::bitset<64>;
    using LocalMinutes = std::chrono::local_time<std::chrono::minutes>;

    Set minutes, hours, days, months, weekdays;  ///< weekdays from Sunday, 0
    bool either_day = false;                     ///< both kinds of day are given: one of them is enough
    bool by_elapsed_time = false;   ///< minute or hour begin with `*`: due by time gone by, not by the clock
    std::chrono::seconds every{0};  ///< of `@every 10m`: then nothing of the above

    bool holds(std::chrono::local_days day) const;
    /// The first minute at or after this one; nothing within the eight years in which every date comes by.
    std::optional<LocalMinutes> first_from(LocalMinutes from) const;
};

/// Five fields of numbers, names, `*`, lists, ranges and steps; @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually;
/// `@every` with a duration from a second to a day. What is never due is refused, too.
Result<Cron> parse_cron(std::string_view text);

/// How often it is due in a month, on the average of four years; nothing where it cannot be told.
std::optional<double> runs_a_month(std::string_view schedule);

}  // namespace penstock::config
