#include "app/schedule/view.h"

#include "app/run_history.h"
#include "app/schedule/jobs.h"
#include "state/intervals.h"

namespace penstock::app {

Result<std::map<std::string, ScheduleView>> view_schedules(const config::Document& document) {
    std::map<std::string, ScheduleView> views;
    PN_TRY(auto jobs, scheduled_jobs(document));
    for (const auto& [name, job] : jobs)
        if (job.times) views[name].next = job.times->next(now());
    PN_TRY(auto intervals, state::Intervals::open_existing(document.state.reveal(), document.state_directory));
    if (!intervals) return views;
    std::map<std::string, schedule::Watch> watches;
    PN_TRY(auto watched, intervals->watches());
    for (auto& one : watched) {
        views[one.pipeline].paused = one.paused_at != TimePoint{};
        watches.emplace(one.pipeline, one);
    }
    PN_TRY(auto all, intervals->situation());
    PN_TRY(auto last_runs, intervals->last_runs());
    schedule::Situation situation{jobs, watches, all, last_runs, now()};
    for (const auto& one : all) {
        if (!schedule::is_open(one.state)) continue;
        auto& view = views[one.pipeline];
        if (view.open++ > 0 || one.state != schedule::IntervalState::waiting) continue;
        view.waits_for = schedule::waits_for(situation, one);
        if (!one.remark.empty()) view.waits_for += (view.waits_for.empty() ? "" : "; ") + one.remark;
    }
    return views;
}

std::string next_text(const ScheduleView& view) {
    if (view.paused) return "paused";
    return view.next ? moment(*view.next) : "";
}

}  // namespace penstock::app
