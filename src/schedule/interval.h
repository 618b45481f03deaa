#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace penstock::schedule {

/// What started a run.
enum class Origin { manual, schedule, backfill, trigger };
std::string_view to_string(Origin origin);

enum class IntervalState {
    waiting,   ///< for its time, its upstreams, a sensor, a worker
    starting,  ///< taken by the leader; its run has not said that it began
    running,   ///< by a process that holds the interval's lock
    succeeded,
    failed,
    cancelled,  ///< by hand, or its pipeline has gone
};
std::string_view to_string(IntervalState state);
inline bool is_open(IntervalState state) { return state < IntervalState::succeeded; }

/// A stretch of time that a pipeline is run for once, by the scheduler or a backfill: from `start`, up to but without `end`, at
/// which it is due. One interval is never run twice at a time, nor again once it has succeeded, unless a backfill says so.
struct Interval {
    std::string pipeline;
    TimePoint start{}, end{};
    Origin origin = Origin::schedule;
    IntervalState state = IntervalState::waiting;
    int attempts = 0;        ///< runs that were begun, or were to be
    int crashes = 0;         ///< of them, those that ended without saying how
    std::string token;       ///< of the newest attempt
    std::string leader;      ///< that took it
    TimePoint not_before{};  ///< when it may be tried again
    TimePoint made_at{}, began_at{}, ended_at{};
    bool is_late = false;        ///< its missed SLA was reported
    bool bounds_cursor = false;  ///< its run reads the window alone, by the pipeline's cursor, and moves no checkpoint
    std::string remark;          ///< why it failed, or was put off
};

/// What the scheduler knows of a pipeline beside its intervals.
struct Watch {
    std::string pipeline;
    TimePoint seen_until{};  ///< intervals were made, or skipped, for all times up to this one
    TimePoint paused_at{};   ///< zero: it is not paused
    std::string paused_by;
};

}  // namespace penstock::schedule
