#pragma once

#include <map>
#include <optional>
#include <string>

#include "config/document.h"
#include "schedule/interval.h"

namespace penstock::app {

/// How a pipeline stands with the scheduler, for whoever shows it.
struct ScheduleView {
    std::optional<TimePoint> next;  ///< when it is due again; nothing where it has no schedule
    bool paused = false;
    int64_t open = 0;       ///< intervals that wait or run
    std::string waits_for;  ///< why the oldest of them does not begin; "" where none waits for anything
};

/// Of all pipelines, by name as the file has it. Nothing is made where there is no state yet.
Result<std::map<std::string, ScheduleView>> view_schedules(const config::Document& document);

/// "2026-11-23 02:00:00", "paused", "".
std::string next_text(const ScheduleView& view);

}  // namespace penstock::app
