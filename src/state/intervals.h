#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "schedule/interval.h"
#include "state/lock.h"
#include "state/process.h"

namespace penstock::state {

class Connection;

/// How processes are told apart and time is told; tests have processes that do not exist.
struct Life {
    std::function<TimePoint()> clock = lease_clock;
    std::function<bool(const LockHolder&)> is_alive = [](const LockHolder& holder) { return holder.is_alive(); };
    Process self = this_process();
};

/// The scheduler's intervals, and who may decide on them. Any number of processes may have them open, one of them leads:
/// whoever holds the lock "(scheduler)". All a leader does is refused (`not_leader`) once another one has that lock, in the
/// transaction that would do it.
///
///     waiting --claim--> starting --begin--> running --end--> succeeded | failed | waiting again
///
/// `claim` is the leader's, `begin` and `end` are the run's, by the token of the claim: whoever has an older token is refused. A run
/// that began holds a lock with its token until its process ends; one whose process is gone is put back by `recover`.
/// One thread.
class Intervals {
  public:
    static Result<Intervals> open(const std::string& url, const std::filesystem::path& directory, Life life = {});
    /// For commands that only look: nothing when there is no state yet, and none is made.
    static Result<std::optional<Intervals>> open_existing(const std::string& url,
                                                          const std::filesystem::path& directory);
    ~Intervals();
    Intervals(Intervals&&) noexcept;

    /// Takes or keeps the lead; false where another process has it. A leader of another machine that says nothing has it for
    /// `leader_lease`.
    Result<bool> lead(const std::string& leader);
    Status resign(const std::string& leader);
    /// Who leads now.
    Result<std::optional<LockHolder>> leader();

    // ---- of the leader
    /// Makes intervals, and remembers up to when there are no more to be made: all or nothing, and nothing where somebody else has
    /// looked further (`seen_meanwhile`). An interval that is there stays as it is.
    Status advance(const std::string& leader, const schedule::Watch& seen, TimePoint seen_until,
                   std::span<const schedule::Interval> made);
    /// What dead leaders and dead runs left behind waits again; a run that is on record as a success has succeeded. Attempts
    /// whose tokens are `known` are somebody's business. The intervals as they now are.
    Result<std::vector<schedule::Interval>> recover(const std::string& leader, const std::set<std::string>& known);
    /// Takes an interval that waits. False where it does not wait any more.
    Result<bool> claim(const std::string& leader, const schedule::Interval& interval, const std::string& token);
    /// What became of an attempt whose process has ended, if that did not say so itself; nothing where it did.
    Result<std::optional<schedule::Interval>> settle(const std::string& leader, const std::string& token,
                                                     const std::function<void(schedule::Interval&)>& decide);
    Status mark_late(const std::string& leader, const schedule::Interval& interval);

    // ---- of a run
    struct Begun {
        schedule::Interval interval;
        LockHolder holder;  ///< that the process has from now on; Lock keeps it
    };
    /// The attempt begins: the interval is this process' own. Refused (`attempt_overtaken`) when the claim does not stand.
    Result<Begun> begin(const std::string& token);
    /// What became of it; `not_before` for one that waits again. Nothing happens where the attempt was given to another one.
    Status end(const std::string& token, schedule::IntervalState state, const std::string& remark,
               TimePoint not_before = {});

    // ---- by hand
    Status pause(const std::string& pipeline, const std::string& by);
    Status resume(const std::string& pipeline);
    /// Has these run, again where they ended. Those that are open stay as they are: how many were taken.
    Result<size_t> request(std::span<const schedule::Interval> intervals);
    /// Takes back what waits of a pipeline's backfills, or of all it waits for.
    Result<size_t> cancel(const std::string& pipeline);

    // ---- for whoever looks
    Result<std::vector<schedule::Watch>> watches();
    /// All that are open, and all that ended and whose window does not end before that of any open one.
    Result<std::vector<schedule::Interval>> situation();
    Result<std::optional<schedule::Interval>> find(const std::string& token);
    /// Whether the newest run of each pipeline that has ended was a success, whatever started it.
    Result<std::map<std::string, bool>> last_runs();
    /// The newest of a pipeline, or of all ("").
    Result<std::vector<schedule::Interval>> newest(const std::string& pipeline, int most);

    /// Lets go of intervals that ended before.
    Status forget(TimePoint before);

    const Place& place() const;

  private:
    explicit Intervals(std::unique_ptr<Connection> connection, Life life);
    std::unique_ptr<Connection> connection_;
    Life life_;
};

/// What the leader's lock is called among those of pipelines.
inline constexpr const char* leader_lock = "(scheduler)";
/// The lock of what runs for an interval of this pipeline.
std::string interval_lock(const std::string& pipeline);
/// How long a leader of another machine is believed to live after it said so.
inline constexpr std::chrono::seconds leader_lease{30};

}  // namespace penstock::state
