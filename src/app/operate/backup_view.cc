#include "app/operate/backup_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/run_history.h"
#include "app/run_json.h"
#include "app/schedule/backup_jobs.h"
#include "app/text_table.h"
#include "base/humane.h"
#include "state/intervals.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using schedule::IntervalState;
using state::Measure;

/// Of one job; the newest that ended may be behind one that waits.
constexpr int most_looked_at = 20;

std::string state_of(const BackupJobView& job, const std::vector<schedule::Interval>& newest) {
    auto any = [&](auto state) { return std::ranges::count(newest, state, &schedule::Interval::state) > 0; };
    if (any(IntervalState::running) || any(IntervalState::starting)) return "running";
    if (any(IntervalState::waiting)) return "waiting";
    if (!job.last) return "never run";
    if (job.last->state == IntervalState::succeeded) return "success";
    return job.last->state == IntervalState::failed ? "failed" : "cancelled";
}

Status look_at_jobs(const config::Document& document, std::vector<BackupView>& all) {
    PN_TRY(auto schedules, view_schedules(document));
    PN_TRY(auto intervals, state::Intervals::open_existing(document.state.reveal(), document.state_directory));
    for (auto& view : all)
        for (auto kind : backup_kinds) {
            BackupJobView job{.job = backup_job(*view.backup, kind),
                              .kind = std::string(kind),
                              .state = {},
                              .times = times_of(*view.backup, kind),
                              .schedule = {},
                              .last = {}};
            job.schedule = schedules[job.job];
            std::vector<schedule::Interval> newest;
            if (intervals) {
                PN_TRY(newest, intervals->newest(job.job, most_looked_at));
            }
            auto last = std::ranges::max_element(newest, {}, &schedule::Interval::ended_at);
            if (last != newest.end() && last->ended_at != TimePoint{}) job.last = *last;
            job.state = state_of(job, newest);
            view.jobs.push_back(std::move(job));
        }
    return {};
}

Status look_at_measures(const config::Document& document, std::vector<BackupView>& all) {
    PN_TRY(auto measures, state::Measures::open_existing(document.state.reveal(), document.state_directory));
    if (!measures) return {};
    PN_TRY(auto known, measures->all());
    for (const auto& one : known) {
        auto view = std::ranges::find(all, one.owner, [](const auto& each) { return each.backup->name; });
        if (view == all.end()) continue;
        auto moment = TimePoint(std::chrono::microseconds(one.amount));
        auto seconds = static_cast<double>(one.amount) / 1e6;
        if (one.kind == Measure::Kind::backup_at) view->newest_at = moment;
        if (one.kind == Measure::Kind::drill_at) view->drill_at = moment;
        if (one.kind == Measure::Kind::drill_passed) view->drill_passed = one.amount == 1;
        if (one.kind == Measure::Kind::drill_rto) view->drill_rto = seconds;
        if (one.kind == Measure::Kind::drill_rpo) view->drill_rpo = seconds;
    }
    return {};
}

Json recovery_goal_json(const std::optional<std::chrono::microseconds>& goal) {
    return known_json(goal ? std::optional(std::chrono::duration<double>(*goal).count()) : std::nullopt);
}

std::chrono::duration<double> age(TimePoint at) { return std::max<std::chrono::duration<double>>(now() - at, {}); }
std::chrono::duration<double> taken(const schedule::Interval& one) { return one.ended_at - one.began_at; }

Json last_json(const std::optional<schedule::Interval>& last) {
    if (!last) return nullptr;
    bool began = last->began_at != TimePoint{};
    return {{"state", schedule::to_string(last->state)},
            {"origin", schedule::to_string(last->origin)},
            {"began_at", began ? Json(iso_time(last->began_at)) : Json(nullptr)},
            {"ended_at", iso_time(last->ended_at)},
            {"duration_seconds", began ? Json(taken(*last).count()) : Json(nullptr)},
            {"attempts", last->attempts},
            {"error", last->state == IntervalState::failed ? text_or_null(last->remark) : Json(nullptr)}};
}

Json job_json(const BackupJobView& job) {
    return {{"job", job.job},
            {"kind", job.kind},
            {"state", job.state},
            {"schedule", job.times == nullptr ? Json(nullptr) : Json(job.times->schedule.value)},
            {"timezone", job.times == nullptr ? Json(nullptr) : text_or_null(job.times->timezone.value)},
            {"next_run", known_json(job.schedule.next)},
            {"paused", job.schedule.paused},
            {"waits_for", text_or_null(job.schedule.waits_for)},
            {"open_intervals", job.schedule.open},
            {"last", last_json(job.last)}};
}

std::string remark_on(const BackupJobView& job) {
    if (job.state == "waiting" && !job.schedule.waits_for.empty()) return "waits: " + job.schedule.waits_for;
    return job.state == "failed" ? job.last->remark : "";
}

/// "passed 2 h 05 min ago: RTO 2.9 s, RPO 0.3 s"
std::string drill_remark(const BackupView& view) {
    if (!view.drill_at) return "there was none";
    auto text = fmt::format("{} {} ago", view.drill_passed ? "passed" : "FAILED", humane_duration(age(*view.drill_at)));
    for (const auto& [name, value] : {std::pair("RTO", view.drill_rto), std::pair("RPO", view.drill_rpo)})
        if (value)
            text += fmt::format("{} {} {}", text.ends_with("ago") ? ":" : ",", name,
                                humane_duration(std::chrono::duration<double>(*value)));
    return text;
}

}  // namespace

Result<std::vector<BackupView>> view_backups(const config::Document& document) {
    std::vector<BackupView> all;
    for (const auto& backup : document.backups)
        all.push_back(
            {.backup = &backup, .jobs = {}, .newest_at = {}, .drill_at = {}, .drill_rto = {}, .drill_rpo = {}});
    if (all.empty()) return all;
    PN_CHECK(look_at_jobs(document, all));
    PN_CHECK(look_at_measures(document, all));
    return all;
}

Json backups_json(const std::vector<BackupView>& all) {
    constexpr std::array tiers = {"critical", "important", "standard"};
    Json list = Json::array();
    for (const auto& view : all) {
        const auto& backup = *view.backup;
        Json jobs = Json::array(), drill = nullptr;
        for (const auto& job : view.jobs) jobs.push_back(job_json(job));
        if (view.drill_at)
            drill = {{"ended_at", iso_time(*view.drill_at)},
                     {"passed", view.drill_passed},
                     {"rto_seconds", known_json(view.drill_rto)},
                     {"rpo_seconds", known_json(view.drill_rpo)}};
        list.push_back({{"backup", backup.name},
                        {"connection", backup.connection.value},
                        {"store", backup.store.connection.value},
                        {"tier", backup.tier ? Json(tiers[static_cast<size_t>(*backup.tier)]) : Json(nullptr)},
                        {"rto_goal_seconds", recovery_goal_json(backup.goals().rto)},
                        {"rpo_goal_seconds", recovery_goal_json(backup.goals().rpo)},
                        {"newest_at", known_json(view.newest_at)},
                        {"age_seconds", view.newest_at ? Json(age(*view.newest_at).count()) : Json(nullptr)},
                        {"drill", drill},
                        {"jobs", jobs}});
    }
    return list;
}

std::string backups_text(const std::vector<BackupView>& all) {
    if (all.empty()) return "";
    TextTable table({{.heading = "BACKUP"},
                     {.heading = "STATE"},
                     {.heading = "LAST (UTC)"},
                     {.heading = "TOOK", .align = TextTable::Align::right},
                     {.heading = "NEXT (UTC)"},
                     {.heading = "REMARK", .most = 80}});
    std::string lines;
    for (const auto& view : all) {
        lines += fmt::format("{}: newest backup {}; last drill {}\n", view.backup->name,
                             view.newest_at ? humane_duration(age(*view.newest_at)) + " old" : "is not known",
                             drill_remark(view));
        for (const auto& job : view.jobs) {
            if (job.times == nullptr && job.state == "never run" && !job.schedule.paused) continue;
            bool began = job.last && job.last->began_at != TimePoint{};
            table.add({job.job, job.state, job.last ? moment(job.last->ended_at) : "",
                       began ? humane_duration(taken(*job.last)) : "", next_text(job.schedule), remark_on(job)});
        }
    }
    return "\n" + (table.empty() ? "" : table.text() + "\n") + lines;
}

}  // namespace penstock::app
