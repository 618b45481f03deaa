#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/execution.h"
#include "app/operate/closed_rejects.h"
#include "app/operate/courier.h"
#include "app/output.h"
#include "app/project.h"
#include "app/replay_target.h"
#include "app/run_json.h"
#include "app/telemetry/exporter.h"
#include "app/text_table.h"
#include "base/humane.h"
#include "base/ids.h"
#include "base/log.h"
#include "transform/events/replay.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Rejects = std::vector<flow::RejectRecord>;

/// The commit that writes the rows marks their rejects. Events go where today's routes send them, so theirs are marked with
/// the table that every replay of events has, the one without rows.
bool marked_with(const Pipeline& pipeline, const flow::TableInfo& info, const flow::RejectRecord& record) {
    return pipeline.is_routed() ? info.rejects_only : record.reject.table == info.name;
}

flow::RunRequest replay_request(const Pipeline& pipeline, const Rejects& open) {
    auto request = pipeline.request(new_run_id());
    request.make_source = [&pipeline, &open] { return pipeline.build_replay_source(open); };
    request.target_for = [&pipeline, &open](size_t, const flow::TableInfo& info) -> Result<flow::TableTarget> {
        PN_TRY(auto target, replay_target(pipeline, info));
        for (const auto& record : open)
            if (marked_with(pipeline, info, record)) target.replays.push_back(record.id);
        return target;
    };
    // What still cannot be held is rejected anew, with its reason of today.
    request.rejects = {.stop = false};
    return request;
}

/// Of events, those that were recorded as they came; a row that the target refused is not.
Rejects replayable(const Pipeline& pipeline, Rejects open) {
    if (!pipeline.is_routed()) return open;
    size_t before = open.size();
    std::erase_if(open, [](const auto& record) { return !events::is_message(record.reject); });
    if (open.size() < before)
        log::warning(
            "{} rejects of {} are rows that the target refused, not messages, and stay open; `penstock replay` reads "
            "their messages from the archive, `penstock rejects discard` lets them go",
            before - open.size(), pipeline.name());
    return open;
}

/// Somebody who names a row wants to know that it was not read again.
Status check_all_open(const std::vector<std::string>& ids, const Rejects& open) {
    for (const auto& id : ids)
        if (std::ranges::find(open, id, &flow::RejectRecord::id) == open.end())
            return fail({.kind = ErrorKind::usage,
                         .code = "unknown_reject",
                         .message = fmt::format("there is no open reject '{}' of this pipeline", id),
                         .hint = "`penstock rejects list` shows those that are open"});
    return {};
}

Status show(const Session& session, const Rejects& open) {
    std::map<std::pair<std::string, std::string>, int64_t> counts;
    for (const auto& record : open) ++counts[{record.reject.table, record.reject.code}];
    if (session.json()) {
        Json list = Json::array();
        for (const auto& [kind, count] : counts)
            list.push_back({{"table", kind.first}, {"code", kind.second}, {"rejects", count}});
        return print_json({{"rejects", list}});
    }
    TextTable table(
        {{.heading = "TABLE"}, {.heading = "CODE"}, {.heading = "REJECTS", .align = TextTable::Align::right}});
    for (const auto& [kind, count] : counts) table.add({kind.first, kind.second, humane_count(count)});
    return print(table.text() +
                 fmt::format("\n{} would be read again\n", humane_count(static_cast<int64_t>(open.size()))));
}

std::string read_again(const flow::RunResult& result) {
    auto counts = result.counts();
    return fmt::format("{} read again, {} written, {} still rejected\n", humane_count(counts.rows_read),
                       humane_count(counts.rows_written), humane_count(counts.rows_rejected));
}

}  // namespace

Result<int> command::rejects_replay(const Session& session) {
    const Options& options = session.options;
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipeline, Pipeline::find(document, options.names.front()));
    pipeline.set_follow(false);
    PN_CHECK(settle_killed_runs(pipeline, session.stop));
    PN_TRY(auto ledger, pipeline.open_ledger());
    Rejects open;
    if (ledger != nullptr) {
        PN_TRY(open, ledger->rejects(
                         {.pipeline = pipeline.name(), .table = options.table, .ids = options.ids, .open_only = true}));
    }
    PN_CHECK(check_all_open(options.ids, open));
    ledger.reset();  // the run opens the target itself
    open = replayable(pipeline, std::move(open));
    if (open.empty()) {
        PN_CHECK(session.json() ? print_json({{"runs", Json::array()}}) : print("no rejected rows are open\n"));
        return 0;
    }
    if (options.dry_run) {
        PN_CHECK(show(session, open));
        return 0;
    }
    PN_TRY(auto store, open_state(document));
    JobTables jobs(document);
    auto result = execute(pipeline, replay_request(pipeline, open), store, jobs, session.stop);
    carry_news(document, session.stop);
    telemetry::send_all(document, session.stop);
    if (result.error) return fail(std::move(*result.error));
    take_from_measures(document, pipeline.name(), static_cast<int64_t>(open.size()));
    PN_CHECK(session.json() ? print_json({{"runs", {run_json(result)}}}) : print(read_again(result)));
    return 0;
}

}  // namespace penstock::app
