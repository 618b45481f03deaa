#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "app/as_of.h"
#include "app/commands.h"
#include "app/execution.h"
#include "app/operate/courier.h"
#include "app/operate/news.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_json.h"
#include "app/run_text.h"
#include "app/schedule/interval_run.h"
#include "app/telemetry/exporter.h"
#include "app/terminal.h"
#include "base/ids.h"

namespace penstock::app::command {
namespace {

Error usage(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::usage, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

/// Options of the documented interface that this version does not have are refused, never ignored.
Status refuse_unavailable(const Options& options) {
    auto refuse = [](bool given, std::string_view option, std::string_view why) -> Status {
        if (!given) return {};
        return fail(usage("option_not_available", fmt::format("`{}` is not available in this version: {}", option, why),
                          "run without it"));
    };
    return refuse(!options.shard.empty(), "--shard",
                  "a pipeline runs in one process and reads with several connections (`parallel:`)");
}

/// Which pipelines: those named, or all of them, or the only one there is.
Result<std::vector<Pipeline>> chosen_pipelines(const config::Document& document, const Options& options) {
    if (options.all && !options.names.empty())
        return fail(
            usage("all_and_names", "--all and names of pipelines exclude one another", "leave out one of them"));
    std::vector<std::string> known;
    for (const auto& pipeline : document.pipelines) known.push_back(pipeline.name);
    if (known.empty())
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "no_pipelines",
             .message = fmt::format("{} has no pipelines", document.file.string()),
             .hint = "add one under `pipelines:`; `penstock init --from URL` writes them for an existing database"});
    if (options.names.empty() && !options.all)
        return fail(usage("no_pipeline_named", "which pipelines? None is named",
                          fmt::format("name some of {}, or give --all", fmt::join(known, ", "))));
    return select_pipelines(document, options.names);
}

Status give_bounds(std::vector<Pipeline>& pipelines, const Options& options) {
    flow::ReadBounds bounds{.limit = options.limit, .from = options.from, .to = options.to};
    if (!bounds.any()) return {};
    for (auto& pipeline : pipelines) PN_CHECK(pipeline.limit(bounds));
    return {};
}

/// Of a backfill: the window alone is read, by the cursor.
Status give_window(std::vector<Pipeline>& pipelines, const schedule::Interval& interval) {
    if (!interval.bounds_cursor) return {};
    flow::ReadBounds bounds{.from = iso_time(interval.start), .to = iso_time(interval.end)};
    for (auto& pipeline : pipelines) PN_CHECK(pipeline.limit(bounds));
    return {};
}

/// --drain and --follow over `run:`. A pipeline that follows leaves no turn to others.
Status choose_end(std::vector<Pipeline>& pipelines, const Options& options) {
    if (options.drain && options.follow)
        return fail(usage("drain_and_follow", "--drain and --follow exclude one another", "leave out one of them"));
    for (auto& pipeline : pipelines) {
        if (options.follow && !pipeline.is_stream())
            return fail(usage("not_a_stream", fmt::format("{} is no stream that could be followed", pipeline.name()),
                              "run it without --follow"));
        if (options.drain || options.follow) pipeline.set_follow(options.follow);
        if (pipelines.size() > 1 && pipeline.follows())
            return fail(
                usage("follow_alone",
                      fmt::format("{} follows its stream without end, and other pipelines would wait for it for ever",
                                  pipeline.name()),
                      "give it a process of its own, or --drain"));
    }
    return {};
}

/// --resnapshot names tables, so one pipeline must be meant.
Status check_resnapshot(const std::vector<Pipeline>& pipelines, const Options& options) {
    if (options.resnapshot.empty()) return {};
    if (options.full_refresh)
        return fail(usage("resnapshot_and_refresh", "--full-refresh reads every table anew, --resnapshot some",
                          "leave out one of them"));
    if (pipelines.size() != 1)
        return fail(
            usage("resnapshot_of_which", "--resnapshot names tables of one pipeline", "name that pipeline alone"));
    if (!pipelines.front().is_stream())
        return fail(usage("not_a_stream", fmt::format("{} is no change stream", pipelines.front().name()),
                          "`--full-refresh` loads its tables again"));
    return {};
}

ProgressDisplay::Style progress_style(const Session& session) {
    if (session.options.quiet) return ProgressDisplay::Style::none;
    bool lines = stderr_is_terminal() && session.log_format == log::Format::text;
    return lines ? ProgressDisplay::Style::lines : ProgressDisplay::Style::log;
}

std::vector<flow::RunResult> run_in_order(const Session& session, const config::Document& document,
                                          const std::vector<Pipeline>& pipelines, state::Store& store) {
    std::vector<flow::RunResult> results;
    ProgressDisplay display(progress_style(session));
    JobTables jobs(document);
    for (const auto& pipeline : pipelines) {
        if (session.stop.stop_requested()) break;
        if (auto waited_for = unmet(pipeline.config(), results); !waited_for.empty()) {
            results.push_back(skipped(pipeline.name(), waited_for));
            continue;
        }
        auto request = pipeline.request(new_run_id(), session.options.full_refresh);
        request.anew = session.options.resnapshot;
        request.observer = &display;
        bool rebuilds = session.options.full_refresh || !session.options.resnapshot.empty();
        results.push_back(execute(pipeline, std::move(request), store, jobs, session.stop,
                                  {.most = document.scheduling_of(pipeline.config()).timeout,
                                   .company = rebuilds ? Company::alone : Company::allowed,
                                   .patience = std::chrono::seconds(session.options.wait)}));
    }
    return results;
}

Status show(const Session& session, const std::vector<flow::RunResult>& results) {
    for (const auto& result : results) {
        if (!result.error) continue;
        log::Scope scope(result.identity.pipeline, result.identity.run_id);
        if (result.deferred_until) log::warning("{}", result.error->message);
        else print_error(*result.error, session.log_format);
    }
    if (!session.json()) return print(runs_text(results));
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& result : results) list.push_back(run_json(result));
    return print_json({{"runs", list}});
}

/// That of the first failure; what was skipped failed for a reason of its own.
int exit_code_of(const std::vector<flow::RunResult>& results, std::stop_token stop) {
    for (const auto& result : results)
        if (result.error && result.status != flow::RunStatus::skipped) return exit_code(result.error->kind);
    return stop.stop_requested() ? exit_code(ErrorKind::interrupted) : 0;
}

}  // namespace

Result<int> run(const Session& session) {
    // Until here nothing is written and nobody is called.
    PN_CHECK(refuse_unavailable(session.options));
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto window, read_window(session.options.window));
    PN_TRY(auto interval, IntervalRun::begin(session, document));
    if (interval) window = interval->window();
    PN_CHECK(fill_project(document, session, window));
    PN_TRY(auto pipelines, chosen_pipelines(document, session.options));
    PN_CHECK(give_bounds(pipelines, session.options));
    if (interval) PN_CHECK(give_window(pipelines, interval->interval()));
    PN_CHECK(travel(pipelines, session.options.as_of));
    PN_CHECK(choose_end(pipelines, session.options));
    PN_CHECK(check_resnapshot(pipelines, session.options));

    // From here on the run is on record.
    PN_TRY(auto store, open_state(document));
    state::RunCause cause;
    if (interval) cause = interval->cause();
    else if (window) cause = {.window_start = window->start, .window_end = window->end};
    store.set_cause(cause);
    auto results = run_in_order(session, document, pipelines, store);

    // What is news is on record before the interval ends: one whose process dies in between is looked into by the scheduler.
    News news(document);
    for (const auto& result : results) news.run_ended(result, cause, store);
    if (interval) PN_CHECK(interval->end(results));

    // Nothing below changes what was done.
    PN_CHECK(show(session, results));
    if (!interval) carry_news(document, session.stop);
    telemetry::send_all(document, session.stop);
    return exit_code_of(results, session.stop);
}

}  // namespace penstock::app::command
