#pragma once

#include <chrono>
#include <string>

namespace penstock {

using TimePoint = std::chrono::sys_time<std::chrono::microseconds>;

/// Wall clock in microseconds of UTC; `PENSTOCK_NOW` (seconds since 1970) pins it for tests of paths and schedules.
TimePoint now();

/// 2026-11-21T06:33:33.123456Z
std::string iso_time(TimePoint time);

/// Expands {yyyy} {MM} {dd} {HH} {mm} {ss} {yyyyMMdd} {yyyyMMddHHmmss} of UTC in a path template; others stay.
std::string expand_time(std::string pattern, TimePoint time);

}  // namespace penstock
