#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/pipeline.h"
#include "schedule/interval.h"
#include "schedule/times.h"

namespace penstock::schedule {

/// The scheduler's decisions, without a clock, a database or a process: what is due, what may begin, what is late.

/// A pipeline as the scheduler sees it.
struct Job {
    std::string pipeline;
    std::optional<Times> times;  ///< nothing: only backfills run it
    config::Catchup catchup = config::Catchup::none;
    std::optional<TimePoint> start_date;
    std::vector<std::string> after;
    std::string pool;
    int64_t priority = 0;
    std::string held_alone;  ///< a place that only one run may have at a time; "" none
    std::optional<std::chrono::microseconds> sla;
};
using Jobs = std::map<std::string, Job>;  ///< by pipeline

/// How late a time may be noticed and not count as missed: a leader's successor needs a moment.
inline constexpr std::chrono::minutes grace{5};
/// More times than this are not made up for at once; the next look goes on.
inline constexpr size_t most_at_once = 1000;

/// What a look at the clock makes of a pipeline's times since the last look.
struct Due {
    std::vector<Interval> intervals;
    TimePoint seen_until{};
    size_t missed = 0;  ///< times that are skipped, or that one run makes up for
    TimePoint last_missed{};
};
/// `seen_until` zero: the pipeline is seen for the first time.
Due due(const Job& job, TimePoint seen_until, TimePoint now);

/// All that decisions on intervals rest on.
struct Situation {
    const Jobs& jobs;
    const std::map<std::string, Watch>& watches;  ///< by pipeline
    /// All that are open, and of pipelines that others come after those whose end is not before that of any open one.
    const std::vector<Interval>& intervals;
    /// Of pipelines that are not scheduled and others come after: whether their newest run succeeded.
    const std::map<std::string, bool>& last_run_succeeded;
    TimePoint now;
};

/// Why an interval that waits does not begin; "" when only room is missing.
std::string waits_for(const Situation& situation, const Interval& interval);

/// What bounds how many run at once.
struct Room {
    size_t workers = 0;                    ///< that are free
    std::map<std::string, int64_t> pools;  ///< sizes
};
/// Those that begin now, the most urgent first. `is_ready` is asked of each that nothing but sensors can keep, once.
std::vector<Interval> chosen(const Situation& situation, Room room,
                             const std::function<bool(const Interval&)>& is_ready);

/// Those whose SLA is missed and was not reported.
std::vector<Interval> late(const Situation& situation);

}  // namespace penstock::schedule
