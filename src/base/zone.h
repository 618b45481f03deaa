#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace date {
class time_zone;
}

namespace penstock {

/// A time zone of the machine's IANA data. UTC is there without any. A value; any thread.
class Zone {
  public:
    using Local = std::chrono::local_time<std::chrono::seconds>;
    using Instant = std::chrono::sys_seconds;

    /// UTC
    Zone() = default;
    /// By its name, such as Europe/Vienna; fails with `unknown_timezone`, naming the nearest, or `no_timezones`.
    static Result<Zone> find(std::string_view name);

    /// A stretch of time in which clocks are not set: at or after begin, before end.
    struct Period {
        Instant begin, end;
        std::chrono::seconds offset;  ///< local time less UTC
    };
    Period at(Instant time) const;
    Local local(Instant time) const { return Local((time + at(time).offset).time_since_epoch()); }
    /// The moment at which clocks show this. A time that clocks skip is the moment of the skip; of one shown twice, the first.
    Instant instant(Local local) const;

    const std::string& name() const { return name_; }

  private:
    const date::time_zone* zone_ =
        nullptr;  ///< of the library's database, which lives as long as the program; null: UTC
    std::string name_ = "UTC";
};

}  // namespace penstock
