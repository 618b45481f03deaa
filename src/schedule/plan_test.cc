#include "schedule/plan.h"

#include <doctest/doctest.h>

#include <random>

namespace penstock::schedule {
namespace {

using namespace std::chrono;
using config::Catchup;

const TimePoint start{sys_days(2026y / March / 27)};

Job job(const std::string& name, const std::string& schedule, Catchup catchup = Catchup::all,
        std::vector<std::string> after = {}) {
    return {.pipeline = name,
            .times = *Times::read(schedule, "Europe/Vienna"),
            .catchup = catchup,
            .after = std::move(after)};
}

Interval interval(const Job& job, TimePoint end, IntervalState state = IntervalState::waiting) {
    return {.pipeline = job.pipeline, .start = *job.times->previous(end), .end = end, .state = state};
}

/// Everything that decisions rest on, at a moment.
struct Scene {
    Jobs jobs;
    std::map<std::string, Watch> watches;
    std::vector<Interval> intervals;
    std::map<std::string, bool> last_runs;
    TimePoint now = start + hours(30);

    Job& add(Job one) { return jobs[one.pipeline] = std::move(one); }
    Situation situation() const { return {jobs, watches, intervals, last_runs, now}; }
    std::string waits(size_t which) const { return waits_for(situation(), intervals[which]); }
    std::string begun(size_t workers, std::map<std::string, int64_t> pools = {}) const {
        std::string names;
        for (const auto& one : chosen(situation(), {workers, std::move(pools)}, [](const Interval&) { return true; }))
            names += one.pipeline + " ";
        return names;
    }
};

}  // namespace

TEST_CASE("however often somebody looks, the same windows are due, each beginning where the last ended") {
    std::mt19937 random(3);
    const char* schedules[] = {"*/20 * * * *", "30 2 * * *", "15 1-4 * * *", "0 0 * * mon", "@every 7m"};
    for (int round = 0; round < 200; ++round) {
        Job one = job("p", schedules[round % 5]);
        std::vector<Interval> found;
        TimePoint seen = start, now = start;
        while (now < start + days(9)) {
            now += minutes(std::uniform_int_distribution(1, 900)(random));
            auto due = schedule::due(one, seen, now);
            CHECK(due.missed == 0);
            seen = due.seen_until;
            found.insert(found.end(), due.intervals.begin(), due.intervals.end());
        }
        std::vector<TimePoint> all;
        for (auto at = one.times->next(start); at && *at <= now; at = one.times->next(*at)) all.push_back(*at);
        REQUIRE(found.size() == all.size());
        for (size_t i = 0; i < found.size(); ++i) {
            CHECK(found[i].end == all[i]);
            CHECK(found[i].start == one.times->previous(all[i]));
        }
    }
}

TEST_CASE("what is missed is skipped, made up for in one run, or run") {
    auto looked = [](Catchup catchup, TimePoint seen, TimePoint now) {
        return due(job("p", "0 * * * *", catchup), seen, now);
    };
    TimePoint late = start + hours(5) + minutes(10), soon = start + hours(5) + minutes(2);
    CHECK(looked(Catchup::all, start, late).intervals.size() == 5);
    auto one = looked(Catchup::one, start, late);
    REQUIRE(one.intervals.size() == 1);
    CHECK(one.intervals[0].start == start);
    CHECK(one.intervals[0].end == start + hours(5));
    CHECK(one.missed == 4);
    auto none = looked(Catchup::none, start, late);
    CHECK(none.intervals.empty());
    CHECK(none.missed == 5);
    CHECK(none.seen_until == start + hours(5));
    none = looked(Catchup::none, start, soon);
    REQUIRE(none.intervals.size() == 1);
    CHECK(none.intervals[0].start == start + hours(4));
    CHECK(none.missed == 4);
    // The first look makes nothing of times gone by, unless a day to start from is given.
    CHECK(looked(Catchup::all, {}, late).intervals.empty());
    Job from = job("p", "0 * * * *");
    from.start_date = start;
    auto first = due(from, {}, late);
    CHECK(first.intervals.size() == 6);  // that of the day's first moment, too
    CHECK(due(from, first.seen_until, late).intervals.empty());
    // A year of minutes is made in parts.
    Job minutes_ = job("p", "* * * * *");
    CHECK(due(minutes_, start, start + days(365)).intervals.size() == most_at_once);
}

TEST_CASE("a pipeline waits for those it comes after") {
    Scene scene;
    auto& orders = scene.add(job("orders", "0 * * * *"));
    auto& facts = scene.add(job("facts", "0 * * * *", Catchup::all, {"orders"}));
    auto& daily = scene.add(job("daily", "30 2 * * *", Catchup::all, {"orders"}));
    scene.add({.pipeline = "by_hand"});
    auto& last = scene.add(job("last", "0 * * * *", Catchup::all, {"by_hand"}));
    TimePoint due = start + hours(5), night = start + hours(25) + minutes(30);
    scene.intervals = {interval(facts, due), interval(orders, due), interval(daily, night),
                       interval(orders, start + hours(25)), interval(last, due)};
    CHECK(scene.waits(0).find("orders has not run for 2026-03-27T05:00") == 0);
    CHECK(scene.waits(1).empty());
    scene.intervals[1].state = IntervalState::failed;
    CHECK(scene.waits(0).find("orders failed for 2026-03-27T05:00") == 0);
    scene.intervals[1].state = IntervalState::succeeded;
    CHECK(scene.waits(0).empty());
    // The newest of theirs that is not after ours.
    CHECK(scene.waits(2).find("orders has not run for 2026-03-28T01:00") == 0);
    scene.intervals[3].state = IntervalState::succeeded;
    CHECK(scene.waits(2).empty());
    // One that was skipped is not waited for; one that will come is.
    scene.intervals.erase(scene.intervals.begin() + 3);
    CHECK_FALSE(scene.waits(2).empty());
    scene.watches["orders"] = {.pipeline = "orders", .seen_until = start + hours(25)};
    CHECK(scene.waits(2).empty());
    CHECK(scene.waits(3).find("by_hand has not run yet") == 0);
    scene.last_runs["by_hand"] = false;
    CHECK(scene.waits(3).find("the last run of by_hand failed") == 0);
    scene.last_runs["by_hand"] = true;
    CHECK(scene.waits(3).empty());
    scene.watches["last"] = {.pipeline = "last", .paused_at = start};
    CHECK(scene.waits(3) == "last is paused");
}

TEST_CASE("the urgent begin first, as far as there is room") {
    Scene scene;
    for (const char* name : {"a", "b", "c", "d", "e"}) scene.add(job(name, "0 * * * *"));
    for (const char* name : {"a", "b", "c", "d", "e"})
        scene.intervals.push_back(interval(scene.jobs.at(name), start + hours(5)));
    CHECK(scene.begun(9) == "a b c d e ");
    scene.jobs.at("d").priority = 5;
    CHECK(scene.begun(2) == "d a ");
    scene.jobs.at("a").pool = scene.jobs.at("b").pool = scene.jobs.at("c").pool = "shop";
    CHECK(scene.begun(9, {{"shop", 2}}) == "d a b e ");
    scene.jobs.at("d").held_alone = scene.jobs.at("e").held_alone = "w.duckdb";
    CHECK(scene.begun(9, {{"shop", 2}}) == "d a b ");
    scene.intervals[3].state = IntervalState::running;
    CHECK(scene.begun(9, {{"shop", 1}}) == "a ");
    // The oldest of a pipeline, and never two.
    scene.intervals.push_back(interval(scene.jobs.at("b"), start + hours(4)));
    CHECK(scene.begun(9) == "b a c ");
    scene.intervals.push_back(interval(scene.jobs.at("b"), start + hours(3), IntervalState::starting));
    CHECK(scene.begun(9) == "a c ");
}

TEST_CASE("what has not succeeded in time is late once") {
    Scene scene;
    scene.add(job("a", "0 * * * *")).sla = hours(1);
    scene.intervals = {interval(scene.jobs.at("a"), start + hours(5), IntervalState::running)};
    scene.now = start + hours(6);
    CHECK(late(scene.situation()).empty());
    scene.now += seconds(1);
    CHECK(late(scene.situation()).size() == 1);
    scene.intervals[0].is_late = true;
    CHECK(late(scene.situation()).empty());
}

}  // namespace penstock::schedule
