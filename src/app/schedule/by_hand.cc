#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/placeholders.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/schedule/jobs.h"
#include "app/text_table.h"
#include "state/intervals.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

std::string who() {
    auto process = state::this_process();
    const char* user = std::getenv("USER");
    return fmt::format("{} on {}", user == nullptr ? "somebody" : user, process.host);
}

Status check_names(const config::Document& document, const schedule::Jobs& jobs, const Session& session) {
    for (const auto& name : session.options.names)
        if (!jobs.contains(name)) return fail(config::no_such_pipeline(document, name));
    return {};
}

Result<int> set_paused(const Session& session, bool paused) {
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto jobs, scheduled_jobs(document));
    PN_CHECK(check_names(document, jobs, session));
    PN_TRY(auto intervals, state::Intervals::open(document.state.reveal(), document.state_directory));
    Json list = Json::array();
    for (const auto& name : session.options.names) {
        PN_CHECK(paused ? intervals.pause(name, who()) : intervals.resume(name));
        list.push_back({{"pipeline", name}, {"paused", paused}});
        if (!session.json()) PN_CHECK(print(fmt::format("{} {}\n", name, paused ? "is paused" : "goes on")));
    }
    if (session.json()) PN_CHECK(print_json({{"pipelines", list}}));
    return 0;
}

Error unbounded(const config::PipelineConfig& pipeline) {
    return {.kind = ErrorKind::configuration,
            .code = "no_window_wanted",
            .message = fmt::format("{} reads the same whatever its window is", pipeline.name),
            .where = pipeline.place.text(),
            .hint = pipeline.work() == nullptr
                        ? "give its source a `cursor`, or use {window.start} and {window.end} in its source; to load "
                          "everything again: `penstock run --full-refresh`"
                        : "tell its program of the window: {window.start} and {window.end} in its options"};
}

/// The windows of a backfill: one, or one for each time of the schedule within it.
Result<std::vector<schedule::Interval>> windows(const config::Document& document,
                                                const config::PipelineConfig& pipeline, const Options& options) {
    PN_TRY(auto jobs, scheduled_jobs(document));
    PN_TRY(auto zone, zone_of(document, pipeline));
    PN_TRY(auto from, schedule::read_moment(options.from, zone));
    PN_TRY(auto to, schedule::read_moment(options.to, zone));
    if (from >= to)
        return fail({.kind = ErrorKind::usage,
                     .code = "bad_window",
                     .message = "--from is not before --to",
                     .hint = "name the first moment, and the one behind the last"});
    schedule::Interval one{.pipeline = pipeline.name, .origin = schedule::Origin::backfill, .made_at = now()};
    if (!wants_window(document, pipeline)) {
        if (pipeline.source.find("cursor") == nullptr) return fail(unbounded(pipeline));
        one.bounds_cursor = true;
    }
    std::vector<schedule::Interval> all;
    const auto& times = jobs.at(pipeline.name).times;
    if (!options.contiguous && !times)
        return fail({.kind = ErrorKind::usage,
                     .code = "no_schedule",
                     .message = fmt::format("{} has no schedule whose times could be run one by one", pipeline.name),
                     .hint = "give --contiguous: one run for the whole stretch of time"});
    one.start = from;
    while (!options.contiguous && one.start < to) {
        auto due = times->next(one.start);
        one.end = due && *due < to ? *due : to;
        all.push_back(one);
        one.start = one.end;
        if (all.size() > schedule::most_at_once)
            return fail({.kind = ErrorKind::usage,
                         .code = "too_many_windows",
                         .message = fmt::format("these are more than {} runs", schedule::most_at_once),
                         .hint = "take them in parts, or give --contiguous"});
    }
    one.end = to;
    if (options.contiguous) all.push_back(one);
    return all;
}

/// When one is due, as text and JSON.
Status show_times(const schedule::Job& job, const Options& options, TextTable& table, Json& list) {
    const auto& zone = job.times->zone();
    TimePoint at = now(), end = TimePoint::max();
    if (!options.from.empty()) {
        PN_TRY(at, schedule::read_moment(options.from, zone));
    }
    if (!options.to.empty()) {
        PN_TRY(end, schedule::read_moment(options.to, zone));
    }
    auto local = [&](TimePoint time) {
        return moment(TimePoint(zone.local(std::chrono::floor<std::chrono::seconds>(time)).time_since_epoch()));
    };
    Json times = Json::array();
    auto start = job.times->previous(at + std::chrono::microseconds(1));
    for (int64_t i = 0; i < options.most; ++i) {
        auto due = job.times->next(at);
        if (!due || *due > end) break;
        table.add({job.pipeline, moment(*due), local(*due), zone.name(), start ? moment(*start) : ""});
        times.push_back(iso_time(*due));
        start = at = *due;
    }
    list.push_back({{"pipeline", job.pipeline}, {"timezone", zone.name()}, {"times", times}});
    return {};
}

}  // namespace

Result<int> command::schedule(const Session& session) {
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto jobs, scheduled_jobs(document));
    PN_CHECK(check_names(document, jobs, session));
    TextTable table({{.heading = "PIPELINE"},
                     {.heading = "DUE (UTC)"},
                     {.heading = "ON THE CLOCK"},
                     {.heading = "OF"},
                     {.heading = "WINDOW FROM (UTC)"}});
    Json list = Json::array();
    auto names = session.options.names;
    if (names.empty()) {
        for (const auto& pipeline : document.pipelines) names.push_back(pipeline.name);
        for (const auto& [name, job] : jobs)
            if (document.pipeline(name) == nullptr) names.push_back(name);
    }
    for (const auto& name : names)
        if (const auto& job = jobs.at(name); job.times) PN_CHECK(show_times(job, session.options, table, list));
    PN_CHECK(session.json() ? print_json({{"schedules", list}}) : print(table.text()));
    return 0;
}

Result<int> command::pause(const Session& session) { return set_paused(session, true); }
Result<int> command::resume(const Session& session) { return set_paused(session, false); }

Result<int> command::backfill(const Session& session) {
    PN_TRY(auto document, read_project(session));
    const auto& name = session.options.names.front();
    const auto* pipeline = document.pipeline(name);
    if (pipeline == nullptr) return fail(config::no_such_pipeline(document, name));
    PN_TRY(auto all, windows(document, *pipeline, session.options));
    size_t taken = 0;
    if (!session.options.dry_run) {
        PN_TRY(auto intervals, state::Intervals::open(document.state.reveal(), document.state_directory));
        PN_TRY(taken, intervals.request(all));
    }
    if (session.json()) {
        Json list = Json::array();
        for (const auto& one : all) list.push_back({{"start", iso_time(one.start)}, {"end", iso_time(one.end)}});
        PN_CHECK(print_json({{"pipeline", name}, {"requested", taken}, {"windows", list}}));
        return 0;
    }
    TextTable table({{.heading = "FROM (UTC)"}, {.heading = "TO"}});
    for (const auto& one : all) table.add({moment(one.start), moment(one.end)});
    PN_CHECK(print(table.text()));
    if (!session.options.dry_run)
        PN_CHECK(print(fmt::format("\n{} of {} are taken; `penstock serve` runs them, `penstock runs` shows them\n",
                                   taken, all.size())));
    return 0;
}

}  // namespace penstock::app
