#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/as_of.h"
#include "app/commands.h"
#include "app/execution.h"
#include "app/operate/courier.h"
#include "app/output.h"
#include "app/project.h"
#include "app/replay_target.h"
#include "app/run_history.h"
#include "app/run_json.h"
#include "app/telemetry/exporter.h"
#include "app/text_table.h"
#include "app/usage_mistake.h"
#include "base/humane.h"
#include "base/ids.h"
#include "config/suggest.h"
#include "transform/events/replay.h"
#include "transform/events/scan.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

Result<archive::ReplayRange> range_of(const Options& options) {
    archive::ReplayRange range{.from = {}, .to = now(), .routes = options.routes};
    PN_TRY(range.from, parse_moment(options.from));
    if (!options.to.empty()) {
        PN_TRY(range.to, parse_moment(options.to));
    }
    if (range.from < range.to) return range;
    return fail(misused("no_time_between",
                        fmt::format("there is no time between --from {} and --to {}", options.from,
                                    options.to.empty() ? "now" : options.to),
                        "--to is the moment behind the last that is read"));
}

/// `--into`: the one route whose rows another table gets.
Status redirect(config::Document& document, const Options& options) {
    if (options.into.empty()) return {};
    auto found = std::ranges::find(document.pipelines, options.names.front(), &config::PipelineConfig::name);
    if (found == document.pipelines.end() || !found->route) return {};  // told apart where the pipeline is looked at
    auto& routes = found->route->to;
    auto to = routes.begin();
    if (options.routes.size() == 1) to = std::ranges::find(routes, options.routes.front(), &config::RouteTo::name);
    if (to == routes.end() || (options.routes.size() != 1 && routes.size() != 1))
        return fail(misused("into_of_which_route", "--into is for the rows of one route",
                            "name it: --route NAME --into TABLE"));
    to->table.value = options.into;
    return {};
}

/// A name that neither the configuration nor the archive knows is a mistake.
Status check_routes(const Pipeline& pipeline, const archive::ReplayRange& range,
                    const std::vector<archive::ArchivedObject>& objects) {
    std::vector<std::string> known = {events::unrouted_table};
    for (const auto& to : pipeline.config().route->to) known.push_back(to.name);
    for (const auto& name : range.routes) {
        if (std::ranges::find(known, name) != known.end()) continue;
        if (std::ranges::find(objects, name, &archive::ArchivedObject::route) != objects.end()) continue;
        return fail(
            misused("no_such_route",
                    fmt::format("{} has no route '{}'{}", pipeline.name(), name, config::did_you_mean(name, known)),
                    fmt::format("its routes: {}", fmt::join(known, ", "))));
    }
    return {};
}

/// Messages that were rejected and stay so, or were let go: `rejects replay` and `rejects discard` are for them.
Status leave_out_rejected(const Pipeline& pipeline, archive::ReplayRange& range) {
    PN_TRY(auto ledger, pipeline.open_ledger());
    if (ledger == nullptr) return {};
    PN_TRY(auto records, ledger->rejects({.pipeline = pipeline.name(), .whole = false}));
    for (auto& record : records)
        if (record.replayed_at == TimePoint{} && events::is_message(record.reject))
            range.without.insert(std::move(record.reject.source_position));
    return {};
}

Json object_json(const archive::ArchivedObject& object) {
    return {{"name", object.name},
            {"route", object.route},
            {"messages", object.messages},
            {"bytes", object.bytes},
            {"first_time", iso_time(object.first_time)},
            {"last_time", iso_time(object.last_time)}};
}

Status show_objects(const Session& session, const std::vector<archive::ArchivedObject>& objects) {
    int64_t messages = 0;
    for (const auto& object : objects) messages += object.messages;
    if (session.json()) {
        Json list = Json::array();
        for (const auto& object : objects) list.push_back(object_json(object));
        return print_json({{"objects", list}, {"messages", messages}});
    }
    TextTable table({{.heading = "ROUTE"},
                     {.heading = "MESSAGES", .align = TextTable::Align::right},
                     {.heading = "BYTES", .align = TextTable::Align::right},
                     {.heading = "FIRST (UTC)"},
                     {.heading = "LAST (UTC)"},
                     {.heading = "OBJECT"}});
    for (const auto& object : objects)
        table.add({object.route, humane_count(object.messages), humane_bytes(object.bytes), moment(object.first_time),
                   moment(object.last_time), object.name});
    if (objects.empty()) return print("the archive has nothing of that time\n");
    return print(table.text() + fmt::format("\n{} messages in {} objects would be read again\n", humane_count(messages),
                                            objects.size()));
}

std::string replayed(const flow::RunResult& result) {
    auto counts = result.counts();
    return fmt::format("{} messages read again: {} rows written, {} there already or filtered, {} rejected\n",
                       humane_count(counts.rows_read), humane_count(counts.rows_written),
                       humane_count(counts.rows_filtered), humane_count(counts.rows_rejected));
}

flow::RunRequest archive_request(const Pipeline& pipeline, const archive::ReplayRange& range) {
    auto request = pipeline.request(new_run_id());
    request.make_source = [&pipeline, &range] { return pipeline.build_archive_source(range); };
    request.target_for = [&pipeline](size_t, const flow::TableInfo& info) -> Result<flow::TableTarget> {
        return replay_target(pipeline, info);
    };
    return request;
}

}  // namespace

Result<int> command::replay(const Session& session) {
    PN_TRY(auto range, range_of(session.options));
    PN_TRY(auto document, load_project(session));
    PN_CHECK(redirect(document, session.options));
    PN_TRY(auto pipeline, Pipeline::find(document, session.options.names.front()));
    pipeline.set_follow(false);
    PN_TRY(auto looking, pipeline.open_archive(range));
    PN_CHECK(looking->connect(session.stop));
    PN_CHECK(check_routes(pipeline, range, looking->objects()));
    if (session.options.dry_run) {
        PN_CHECK(show_objects(session, looking->objects()));
        return 0;
    }
    looking.reset();
    PN_CHECK(settle_killed_runs(pipeline, session.stop));
    if (!session.options.rejected) PN_CHECK(leave_out_rejected(pipeline, range));
    PN_TRY(auto store, open_state(document));
    JobTables jobs(document);
    auto result = execute(pipeline, archive_request(pipeline, range), store, jobs, session.stop);
    carry_news(document, session.stop);
    telemetry::send_all(document, session.stop);
    if (result.error) return fail(std::move(*result.error));
    PN_CHECK(session.json() ? print_json({{"runs", {run_json(result)}}}) : print(replayed(result)));
    return 0;
}

}  // namespace penstock::app
