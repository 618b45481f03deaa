#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "app/commands.h"
#include "base/zone.h"
#include "config/document.h"
#include "flow/runner.h"
#include "state/intervals.h"
#include "state/record.h"

namespace penstock::app {

/// A stretch of time that a run is for; it stands in `{window.start}`, `{window.end}`, `{window.date}`.
struct Window {
    TimePoint start{}, end{};
};

/// "2026-11-01/2026-11-02", as days or moments of UTC; nothing where none is given.
Result<std::optional<Window>> read_window(const std::string& text);

/// What stands for `start` and `end` (of UTC, to the second) and `date` (the day on which the window starts, in the zone).
std::map<std::string, std::optional<std::string>> window_values(const Window& window, const Zone& zone);

/// The side of a process that runs an interval for the scheduler: it says that it begins, keeps the interval's lock, and says what
/// became of it.
class IntervalRun {
  public:
    /// Nothing where `--interval` is not given.
    static Result<std::optional<IntervalRun>> begin(const Session& session, const config::Document& document);

    const schedule::Interval& interval() const { return interval_; }
    Window window() const { return {interval_.start, interval_.end}; }
    state::RunCause cause() const;
    Status end(std::span<const flow::RunResult> results);
    /// What ended so, and is no run of a pipeline: it was stopped, or a server was away, or something in its way, and not too often.
    bool is_tried_again(const Error& error) const;
    /// Of what is no run of a pipeline; nothing: it has succeeded.
    Status end(const std::optional<Error>& error);

  private:
    IntervalRun(state::Intervals intervals, schedule::Interval interval, state::Lock lock)
        : intervals_(std::move(intervals)), interval_(std::move(interval)), lock_(std::move(lock)) {}

    state::Intervals intervals_;
    schedule::Interval interval_;
    state::Lock lock_;
};

}  // namespace penstock::app
