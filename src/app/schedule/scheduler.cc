#include "app/schedule/scheduler.h"

#include <fmt/format.h>

#include <cmath>

#include "base/humane.h"
#include "base/ids.h"
#include "base/log.h"

namespace penstock::app {

using schedule::Interval;
using schedule::IntervalState;
using Kind = ScheduleEvent::Kind;

std::string_view to_string(Kind kind) {
    switch (kind) {
        case Kind::run_failed: return "run_failed";
        case Kind::run_recovered: return "run_recovered";
        case Kind::run_crashed: return "run_crashed";
        case Kind::sla_missed: return "sla_missed";
        case Kind::times_missed: return "times_missed";
        case Kind::leader_changed: return "leader_changed";
    }
    std::unreachable();
}

Scheduler::Scheduler(Settings settings, state::Intervals intervals, Runs& runs, Sensors sensors, Tell tell)
    : settings_(std::move(settings)),
      intervals_(std::move(intervals)),
      runs_(runs),
      sensors_(std::move(sensors)),
      tell_(std::move(tell)),
      leader_(new_run_id()) {}

Status Scheduler::look(TimePoint now) {
    PN_TRY(bool leads, intervals_.lead(leader_));
    if (leads != leads_) {
        leads_ = leads;
        tell(Kind::leader_changed, {},
             leads ? "this process leads the scheduler" : "another process leads the scheduler");
    }
    if (!leads) {
        runs_.ended();  // what they did they have put on record; the leader sees to the others
        return {};
    }
    PN_CHECK(settle(now));
    PN_CHECK(recover());
    PN_CHECK(advance(now));
    return begin(now);
}

Status Scheduler::resign() { return leads_ ? intervals_.resign(leader_) : Status{}; }

void Scheduler::decide(Interval& interval, const std::string& how, TimePoint now) const {
    config::Retries retries;
    if (auto found = settings_.retries.find(interval.pipeline); found != settings_.retries.end())
        retries = found->second;
    ++interval.crashes;
    interval.remark = fmt::format("its process ended with {} and did not say what became of the run", how);
    if (interval.crashes > retries.max) {
        interval.state = IntervalState::failed, interval.ended_at = now;
        return;
    }
    double delay = static_cast<double>(retries.delay.count()) * std::pow(retries.backoff, interval.crashes - 1);
    interval.state = IntervalState::waiting;
    interval.not_before = now + std::chrono::microseconds(std::llround(std::min(delay, 3.6e9)));
}

Status Scheduler::settle(TimePoint now) {
    for (const auto& one : runs_.ended()) {
        PN_TRY(auto settled,
               intervals_.settle(leader_, one.token, [&](Interval& interval) { decide(interval, one.how, now); }));
        if (settled && settled->state == IntervalState::waiting) tell(Kind::run_crashed, *settled, settled->remark);
        PN_TRY(auto interval, intervals_.find(one.token));
        if (interval) tell_of_end(*interval);
    }
    return {};
}

void Scheduler::tell_of_end(const Interval& interval) {
    if (interval.state == IntervalState::failed) {
        failing_.insert(interval.pipeline);
        tell(Kind::run_failed, interval, interval.remark);
    } else if (interval.state == IntervalState::succeeded && failing_.erase(interval.pipeline) > 0) {
        tell(Kind::run_recovered, interval, fmt::format("{} has succeeded again", interval.pipeline));
    }
}

Status Scheduler::recover() {
    PN_TRY(auto recovered, intervals_.recover(leader_, runs_.tokens()));
    for (const auto& one : recovered) {
        if (one.state == IntervalState::waiting) tell(Kind::run_crashed, one, one.remark);
        else tell_of_end(one);
    }
    return {};
}

Status Scheduler::advance(TimePoint now) {
    PN_TRY(auto watches, intervals_.watches());
    std::map<std::string, schedule::Watch> seen;
    for (auto& one : watches) seen.emplace(one.pipeline, one);
    for (const auto& [name, job] : settings_.jobs) {
        auto watch = seen.contains(name) ? seen[name] : schedule::Watch{.pipeline = name};
        if (!job.times || watch.paused_at != TimePoint{}) continue;
        auto due = schedule::due(job, watch.seen_until, now);
        if (due.seen_until == watch.seen_until) continue;
        auto advanced = intervals_.advance(leader_, watch, due.seen_until, due.intervals);
        if (!advanced && advanced.error().code == "seen_meanwhile") continue;
        PN_CHECK(std::move(advanced));
        if (due.missed > 0)
            tell(
                Kind::times_missed, {.pipeline = name, .end = due.last_missed},
                fmt::format("{} times of {} were missed, the last at {}{}", due.missed, name, iso_time(due.last_missed),
                            job.catchup == config::Catchup::one ? "; one run makes up for them" : ""));
    }
    return {};
}

Status Scheduler::begin(TimePoint now) {
    PN_TRY(auto intervals, intervals_.situation());
    if (intervals.empty()) return {};
    PN_TRY(auto watches, intervals_.watches());
    std::map<std::string, schedule::Watch> seen;
    for (auto& one : watches) seen.emplace(one.pipeline, one);
    PN_TRY(auto last_runs, intervals_.last_runs());
    schedule::Situation situation{settings_.jobs, seen, intervals, last_runs, now};
    for (const auto& one : schedule::late(situation)) {
        PN_CHECK(intervals_.mark_late(leader_, one));
        auto why = one.state == IntervalState::waiting ? schedule::waits_for(situation, one) : "";
        tell(Kind::sla_missed, one,
             fmt::format("{} of {} has not succeeded within {}{}{}", one.pipeline, iso_time(one.end),
                         humane_duration(*settings_.jobs.at(one.pipeline).sla), why.empty() ? "" : ": ", why));
    }
    for (const auto& one : schedule::chosen(situation, {.workers = runs_.room(), .pools = settings_.pools}, sensors_))
        PN_CHECK(start(one, now));
    return {};
}

Status Scheduler::start(const Interval& interval, TimePoint now) {
    auto token = new_run_id();
    PN_TRY(bool ours, intervals_.claim(leader_, interval, token));
    if (!ours) return {};
    auto started = runs_.start(interval, token);
    if (started) return {};
    log::error("{} of {} was not started: {}", interval.pipeline, iso_time(interval.end), started.error().message);
    PN_TRY(auto settled, intervals_.settle(leader_, token, [&](Interval& one) {
        one.state = IntervalState::waiting;
        one.not_before = now + std::chrono::seconds(30);
        one.remark = started.error().message;
    }));
    return {};
}

void Scheduler::tell(Kind kind, const Interval& interval, std::string message) const {
    tell_({.kind = kind, .pipeline = interval.pipeline, .message = std::move(message), .interval = interval});
}

}  // namespace penstock::app
