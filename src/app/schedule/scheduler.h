#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/settings.h"
#include "schedule/plan.h"
#include "state/intervals.h"

namespace penstock::app {

/// What people want to be told of, whoever tells them.
struct ScheduleEvent {
    enum class Kind {
        run_failed,     ///< an interval has failed for good
        run_recovered,  ///< the first success of a pipeline after a failure
        run_crashed,    ///< a process ended without saying how; it is tried again
        sla_missed,     ///< an interval has not succeeded in time
        times_missed,   ///< times that nobody looked at, and that are skipped or made up for in one run
        leader_changed  ///< this process leads from now on, or does no more
    };
    Kind kind;
    std::string pipeline;  ///< "" of none
    std::string message;   ///< a sentence for people
    schedule::Interval interval = {};
};
std::string_view to_string(ScheduleEvent::Kind kind);

/// Processes, or what stands for them in tests, that run intervals.
class Runs {
  public:
    struct Ended {
        std::string token;
        std::string how;  ///< "exit code 2", "signal 9"
    };
    virtual ~Runs() = default;
    /// How many more may be started.
    virtual size_t room() const = 0;
    virtual Status start(const schedule::Interval& interval, const std::string& token) = 0;
    /// Those that ended since the last call.
    virtual std::vector<Ended> ended() = 0;
    /// Those under way.
    virtual std::set<std::string> tokens() const = 0;
};

/// What the leader does, look by look: which intervals there are, which begin, what became of those that ended. All it knows is in
/// the state, so another process can go on at any moment. One thread.
class Scheduler {
  public:
    struct Settings {
        schedule::Jobs jobs;
        std::map<std::string, int64_t> pools;
        std::map<std::string, config::Retries> retries;  ///< by pipeline
    };
    /// What ends the waiting of an interval that waits for files, tables, URLs: true when all are there.
    using Sensors = std::function<bool(const schedule::Interval&)>;
    using Tell = std::function<void(const ScheduleEvent&)>;

    Scheduler(Settings settings, state::Intervals intervals, Runs& runs, Sensors sensors, Tell tell);

    /// One look. Fails only where the state does not answer; the next one goes on.
    Status look(TimePoint now);
    bool leads() const { return leads_; }
    Status resign();

  private:
    Status settle(TimePoint now);
    Status recover();
    Status advance(TimePoint now);
    Status begin(TimePoint now);
    Status start(const schedule::Interval& interval, TimePoint now);
    void decide(schedule::Interval& interval, const std::string& how, TimePoint now) const;
    void tell_of_end(const schedule::Interval& interval);
    void tell(ScheduleEvent::Kind kind, const schedule::Interval& interval, std::string message) const;

    Settings settings_;
    state::Intervals intervals_;
    Runs& runs_;
    Sensors sensors_;
    Tell tell_;
    std::string leader_;
    bool leads_ = false;
    std::set<std::string> failing_;  ///< pipelines whose last interval failed
};

}  // namespace penstock::app
