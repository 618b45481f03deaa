#include "schedule/plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::schedule {
namespace {

using config::Catchup;

const Job* job_of(const Situation& situation, const std::string& pipeline) {
    auto found = situation.jobs.find(pipeline);
    return found == situation.jobs.end() ? nullptr : &found->second;
}

/// What the intervals of `before` that hold this moment say of it; "" when they say that it was done, or will not be.
std::string unmet(const Situation& situation, const Job& before, TimePoint due) {
    bool done = false, open = false, failed = false;
    for (const auto& one : situation.intervals) {
        if (one.pipeline != before.pipeline || one.start >= due || one.end < due) continue;
        done = done || one.state == IntervalState::succeeded;
        open = open || is_open(one.state);
        failed = failed || one.state == IntervalState::failed;
    }
    if (done) return "";
    if (open) return fmt::format("{} has not run for {} yet", before.pipeline, iso_time(due));
    if (failed) return fmt::format("{} failed for {}", before.pipeline, iso_time(due));
    auto watch = situation.watches.find(before.pipeline);
    bool was_seen = watch != situation.watches.end() && watch->second.seen_until >= due;
    return was_seen ? "" : fmt::format("{} has not run for {} yet", before.pipeline, iso_time(due));
}

std::string unmet_upstream(const Situation& situation, const Job& job, const Interval& interval) {
    for (const auto& name : job.after) {
        const Job* before = job_of(situation, name);
        if (before == nullptr) continue;
        if (!before->times) {
            auto last = situation.last_run_succeeded.find(name);
            if (last == situation.last_run_succeeded.end())
                return fmt::format("{} has not run yet, and no schedule runs it", name);
            if (!last->second) return fmt::format("the last run of {} failed", name);
            continue;
        }
        // The newest of its times that is not after ours: the same one, where both have one schedule.
        auto due = before->times->previous(interval.end + std::chrono::microseconds(1));
        if (!due) continue;
        if (auto why = unmet(situation, *before, *due); !why.empty()) return why;
    }
    return "";
}

/// What runs now, as far as it bounds what else may.
struct Busy {
    std::set<std::string> pipelines, places;
    std::map<std::string, int64_t> pools;

    void add(const Job& job) {
        pipelines.insert(job.pipeline);
        if (!job.held_alone.empty()) places.insert(job.held_alone);
        ++pools[job.pool];
    }
    bool has_room_for(const Job& job, const Room& room) const {
        if (pipelines.contains(job.pipeline) || places.contains(job.held_alone)) return false;
        auto size = room.pools.find(job.pool);
        auto used = pools.find(job.pool);
        return size == room.pools.end() || used == pools.end() || used->second < size->second;
    }
};

}  // namespace

std::string_view to_string(Origin origin) {
    switch (origin) {
        case Origin::manual: return "manual";
        case Origin::schedule: return "schedule";
        case Origin::backfill: return "backfill";
        case Origin::trigger: return "trigger";
    }
    std::unreachable();
}

std::string_view to_string(IntervalState state) {
    switch (state) {
        case IntervalState::waiting: return "waiting";
        case IntervalState::starting: return "starting";
        case IntervalState::running: return "running";
        case IntervalState::succeeded: return "succeeded";
        case IntervalState::failed: return "failed";
        case IntervalState::cancelled: return "cancelled";
    }
    std::unreachable();
}

Due due(const Job& job, TimePoint seen_until, TimePoint now) {
    Due found{.seen_until = seen_until};
    if (!job.times) return found;
    if (found.seen_until == TimePoint{}) {
        found.seen_until = now;
        if (job.start_date && *job.start_date < now && job.catchup != Catchup::none)
            found.seen_until = *job.start_date - std::chrono::microseconds(1);
    }
    std::vector<TimePoint> times;
    for (auto at = job.times->next(found.seen_until); at && *at <= now; at = job.times->next(*at)) {
        times.push_back(*at);
        if (job.catchup == Catchup::all && times.size() == most_at_once) break;
    }
    if (times.empty()) return found;
    auto since = job.times->previous(times.front()).value_or(times.front());
    found.seen_until = times.back();
    auto add = [&](TimePoint start, TimePoint end) {
        found.intervals.push_back({.pipeline = job.pipeline, .start = start, .end = end, .made_at = now});
    };
    switch (job.catchup) {
        case Catchup::all:
            for (auto end : times) add(std::exchange(since, end), end);
            break;
        case Catchup::one:
            add(since, times.back());
            found.missed = times.size() - 1;
            break;
        case Catchup::none:
            found.missed = times.size();
            if (times.back() + grace < now) break;
            add(times.size() > 1 ? times[times.size() - 2] : since, times.back());
            --found.missed;
            break;
    }
    if (found.missed > 0) found.last_missed = found.missed == times.size() ? times.back() : times[times.size() - 2];
    return found;
}

std::string waits_for(const Situation& situation, const Interval& interval) {
    const Job* job = job_of(situation, interval.pipeline);
    if (job == nullptr) return fmt::format("the configuration has no {}", interval.pipeline);
    auto watch = situation.watches.find(interval.pipeline);
    if (watch != situation.watches.end() && watch->second.paused_at != TimePoint{})
        return fmt::format("{} is paused", interval.pipeline);
    if (interval.not_before > situation.now)
        return fmt::format("it is put off until {}", iso_time(interval.not_before));
    // By hand, as `penstock run` is.
    if (interval.origin == Origin::backfill || interval.origin == Origin::manual) return "";
    return unmet_upstream(situation, *job, interval);
}

std::vector<Interval> chosen(const Situation& situation, Room room,
                             const std::function<bool(const Interval&)>& is_ready) {
    Busy busy;
    std::vector<const Interval*> waiting;
    for (const auto& one : situation.intervals) {
        const Job* job = job_of(situation, one.pipeline);
        if (one.state == IntervalState::waiting && job != nullptr) waiting.push_back(&one);
        else if (is_open(one.state) && job != nullptr) busy.add(*job);
        else if (is_open(one.state)) busy.pipelines.insert(one.pipeline);
    }
    auto urgency = [&](const Interval* one) {
        return std::tuple(-job_of(situation, one->pipeline)->priority, one->end, one->start, one->pipeline);
    };
    std::ranges::sort(waiting, {}, urgency);
    std::vector<Interval> begin;
    for (const auto* one : waiting) {
        if (begin.size() >= room.workers) break;
        const Job& job = *job_of(situation, one->pipeline);
        if (!busy.has_room_for(job, room) || !waits_for(situation, *one).empty() || !is_ready(*one)) continue;
        busy.add(job);
        begin.push_back(*one);
    }
    return begin;
}

std::vector<Interval> late(const Situation& situation) {
    std::vector<Interval> found;
    for (const auto& one : situation.intervals) {
        const Job* job = job_of(situation, one.pipeline);
        if (job == nullptr || !job->sla || one.is_late || one.origin != Origin::schedule) continue;
        if (is_open(one.state) && one.end + *job->sla < situation.now) found.push_back(one);
    }
    return found;
}

}  // namespace penstock::schedule
