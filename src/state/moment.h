#pragma once

#include "base/clock.h"

namespace penstock::state {

/// Times lie in the database as microseconds since 1970, UTC.
inline long long micros(TimePoint time) { return time.time_since_epoch().count(); }
inline TimePoint from_micros(long long time) { return TimePoint(std::chrono::microseconds(time)); }

}  // namespace penstock::state
