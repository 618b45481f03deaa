#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace penstock::postgres {

/// When a run of changes that is not full yet is worth a commit. A commit costs the target much the same for one change as for
/// thousands, and how much is the target's affair: so three times what the last one took is left between two. A target that takes
/// 5 ms is given changes 50 times a second, one that takes 100 ms every 400 ms; a backlog fills up meanwhile and comes in full runs.
/// A log, which only appends, is left no rest: each commit takes what came during the one before. A target whose commits have a price
/// says how long it is to be left alone.
class SegmentPace {
  public:
    using Clock = std::chrono::steady_clock;

    explicit SegmentPace(bool light_commits = false, Clock::duration between = {})
        : rest_(light_commits ? 0 : 3),
          least_(std::chrono::milliseconds(light_commits ? 1 : 5)),
          between_(between),
          wait_(least_) {}

    /// A run goes to the target.
    void given(Clock::time_point at) { given_at_ = at; }
    /// The target has it.
    void taken(Clock::time_point at) {
        if (!given_at_) return;
        wait_ = std::max(between_, std::clamp<Clock::duration>(rest_ * (at - *given_at_), least_, most));
        taken_at_ = at;
        given_at_.reset();
    }
    /// How much longer changes that have waited since then are to wait.
    Clock::duration left(Clock::time_point since, Clock::time_point at) const {
        return std::max({since + least_ - at, taken_at_ + wait_ - at, Clock::duration::zero()});
    }
    bool due(Clock::time_point since, Clock::time_point at) const { return left(since, at) == Clock::duration::zero(); }

  private:
    static constexpr auto most = std::chrono::milliseconds(500);

    int rest_;
    Clock::duration least_;    ///< a transaction's neighbours come along
    Clock::duration between_;  ///< two commits at least
    std::optional<Clock::time_point> given_at_;
    Clock::time_point taken_at_;
    Clock::duration wait_;
};

}  // namespace penstock::postgres
