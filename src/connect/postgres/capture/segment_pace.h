#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace penstock::postgres {

/// When a run of changes that is not full yet is worth a commit. A commit costs the target much the same for one change as for
/// thousands, and how much is the target's affair: so three times what the last one took is left between two. A target that takes
/// 5 ms is given changes 50 times a second, one that takes 100 ms every 400 ms; a backlog fills up meanwhile and comes in full runs.
/// A log, which only appends, is left no rest: each commit takes what came during the one before.
class SegmentPace {
  public:
    using Clock = std::chrono::steady_clock;

    explicit SegmentPace(bool light_commits = false) : rest_(light_commits ? 0 : 3) {}

    /// A run goes to the target.
    void given(Clock::time_point at) { given_at_ = at; }
    /// The target has it.
    void taken(Clock::time_point at) {
        if (!given_at_) return;
        wait_ = std::clamp<Clock::duration>(rest_ * (at - *given_at_), least, most);
        taken_at_ = at;
        given_at_.reset();
    }
    /// Whether changes that have waited since then have waited long enough.
    bool due(Clock::time_point since, Clock::time_point at) const {
        return at - since >= least && at - taken_at_ >= wait_;
    }

  private:
    static constexpr auto least = std::chrono::milliseconds(5);
    static constexpr auto most = std::chrono::milliseconds(500);

    int rest_;
    std::optional<Clock::time_point> given_at_;
    Clock::time_point taken_at_;
    Clock::duration wait_ = least;
};

}  // namespace penstock::postgres
