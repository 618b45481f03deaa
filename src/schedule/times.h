#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/zone.h"
#include "config/cron.h"

namespace penstock::schedule {

/// The moments at which a schedule is due in its time zone, in order, without an end. A value; any thread.
///
/// Where clocks are set forward or back it does as cronie does. A schedule whose minute or hour begins with `*` goes by time gone
/// by: it is due at every moment whose time on the clock it names, so each hour of a day of 23 or 25 hours has its share. Any
/// other names times of the clock: one that the clock skips is due at the moment of the skip, and one that it shows twice is due
/// the first time.
class Times {
  public:
    /// "*/15 * * * *", "Europe/Vienna"; "" is UTC.
    static Result<Times> read(const std::string& schedule, const std::string& timezone);

    /// The first after this moment; nothing in an age without any.
    std::optional<TimePoint> next(TimePoint after) const;
    /// The last before this moment; nothing within the nine years before it.
    std::optional<TimePoint> previous(TimePoint before) const;
    const Zone& zone() const { return zone_; }

  private:
    std::optional<Zone::Instant> next_by_clock(Zone::Instant after) const;
    std::optional<Zone::Instant> next_by_elapsed_time(Zone::Instant after) const;

    config::Cron cron_;
    Zone zone_;
};

/// A moment as people write it: "2026-11-01" (in the zone), "2026-11-01T06:30" (in the zone), "2026-11-01T06:30:00Z".
Result<TimePoint> read_moment(const std::string& text, const Zone& zone);

}  // namespace penstock::schedule
