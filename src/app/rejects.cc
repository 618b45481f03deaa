#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "app/commands.h"
#include "app/execution.h"
#include "app/ledgers.h"
#include "app/operate/closed_rejects.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/run_json.h"
#include "app/run_text.h"
#include "app/text_table.h"
#include "base/humane.h"
#include "base/ids.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

/// What was JSON when it was written is JSON again; anything else stays text.
Json embedded(const std::string& text) {
    if (text.empty()) return nullptr;
    Json value = Json::parse(text, nullptr, false);
    return value.is_object() ? value : Json(text);
}

Json time_or_null(TimePoint time) { return time == TimePoint{} ? Json(nullptr) : Json(iso_time(time)); }

Json record_json(const flow::RejectRecord& record) {
    const auto& reject = record.reject;
    return {{"id", record.id},
            {"pipeline", record.pipeline},
            {"run_id", record.run_id},
            {"table", reject.table},
            {"route", text_or_null(reject.route)},
            {"source_position", text_or_null(reject.source_position)},
            {"key", embedded(reject.key)},
            {"column", text_or_null(reject.column)},
            {"code", reject.code},
            {"reason", reject.reason},
            {"payload", embedded(reject.payload)},
            {"received_at", iso_time(reject.received_at)},
            {"replayed_at", time_or_null(record.replayed_at)},
            {"discarded_at", time_or_null(record.discarded_at)}};
}

std::string state_of(const flow::RejectRecord& record) {
    if (record.replayed_at != TimePoint{}) return "replayed";
    return record.discarded_at != TimePoint{} ? "discarded" : "";
}

std::string list_text(const std::vector<flow::RejectRecord>& records) {
    if (records.empty()) return "no rejected rows are open\n";
    TextTable table({{.heading = "ID"},
                     {.heading = "PIPELINE"},
                     {.heading = "TABLE"},
                     {.heading = "KEY", .most = 40},
                     {.heading = "COLUMN"},
                     {.heading = "CODE"},
                     {.heading = "STATE"},
                     {.heading = "SINCE (UTC)"},
                     {.heading = "REASON", .most = 100}});
    for (const auto& record : records)
        table.add({record.id, record.pipeline, record.reject.table, record.reject.key, record.reject.column,
                   record.reject.code, state_of(record), moment(record.reject.received_at), record.reject.reason});
    return table.text();
}

std::string detail_text(const flow::RejectRecord& record) {
    const auto& reject = record.reject;
    std::string text = fmt::format("reject    {}\npipeline  {}\nrun       {}\ntable     {}\n", record.id,
                                   record.pipeline, record.run_id, reject.table);
    auto line = [&](std::string_view name, const std::string& value) {
        if (!value.empty()) text += fmt::format("{:<8}  {}\n", name, one_line(value));
    };
    line("position", reject.source_position);
    line("key", reject.key);
    line("column", reject.column);
    line("code", reject.code);
    line("reason", reject.reason);
    line("received", moment(reject.received_at));
    line("state", state_of(record));
    Json payload = embedded(reject.payload);
    if (!payload.is_null())
        text += "row\n  " +
                one_line(payload.is_string() ? payload.get<std::string>()
                                             : payload.dump(-1, ' ', false, Json::error_handler_t::replace)) +
                "\n";
    return text;
}

Error no_such_reject(const std::string& id) {
    return {.kind = ErrorKind::usage,
            .code = "unknown_reject",
            .message = fmt::format("there is no reject '{}'", id),
            .hint = "`penstock rejects list` shows those that are open"};
}

}  // namespace

Result<int> command::rejects_list(const Session& session) {
    const Options& options = session.options;
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, options.names));
    std::vector<flow::RejectRecord> records;
    bool more = false;
    for (const auto& pipeline : pipelines) {
        PN_TRY(auto ledger, pipeline.open_ledger());
        if (ledger == nullptr) continue;
        PN_TRY(auto found, ledger->rejects({.pipeline = pipeline.name(),
                                            .table = options.table,
                                            .open_only = !options.closed,
                                            .limit = options.most}));
        more = more || static_cast<int64_t>(found.size()) == options.most;
        records.insert(records.end(), found.begin(), found.end());
    }
    if (auto messages = open_trigger_ledger(document)) {
        std::set<std::string> names;
        for (const auto& pipeline : pipelines)
            if (const auto& config = pipeline.config(); config.trigger)
                names.insert(config.origin.empty() ? config.name : config.origin);
        for (const auto& name : names) {
            PN_TRY(auto found,
                   messages->rejects({.pipeline = name, .open_only = !options.closed, .limit = options.most}));
            records.insert(records.end(), found.begin(), found.end());
        }
    }
    if (session.json()) {
        Json list = Json::array();
        for (const auto& record : records) list.push_back(record_json(record));
        PN_CHECK(print_json({{"rejects", list}}));
        return 0;
    }
    std::string text = list_text(records);
    if (more) text += fmt::format("\n{} of each pipeline are shown; `--most N` shows more\n", options.most);
    PN_CHECK(print(text));
    return 0;
}

Result<int> command::rejects_show(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, {}));
    PN_TRY(auto ledgers, open_ledgers(pipelines));
    if (auto ledger = open_trigger_ledger(document)) ledgers.push_back(std::move(ledger));
    std::vector<flow::RejectRecord> records;
    for (const auto& id : session.options.names) {
        size_t before = records.size();
        for (const auto& ledger : ledgers) {
            PN_TRY(auto found, ledger->rejects({.ids = {id}}));
            records.insert(records.end(), found.begin(), found.end());
        }
        if (records.size() == before) return fail(no_such_reject(id));
    }
    Json list = Json::array();
    std::string text;
    for (const auto& record : records) {
        list.push_back(record_json(record));
        text += (text.empty() ? "" : "\n") + detail_text(record);
    }
    PN_CHECK(session.json() ? print_json({{"rejects", list}}) : print(text));
    return 0;
}

Result<int> command::rejects_discard(const Session& session) {
    const Options& options = session.options;
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, {}));
    PN_TRY(auto ledgers, open_ledgers(pipelines));
    if (auto ledger = open_trigger_ledger(document)) ledgers.push_back(std::move(ledger));
    int64_t discarded = 0;
    for (const auto& name : options.names) {
        flow::RejectFilter filter{.table = options.table, .open_only = true};
        bool is_pipeline =
            document.pipeline(name) != nullptr ||
            std::ranges::find(document.pipelines, name, &config::PipelineConfig::origin) != document.pipelines.end();
        if (is_pipeline) filter.pipeline = name;
        else filter.ids = {name};
        int64_t found = 0;
        for (const auto& ledger : ledgers) {
            std::vector<flow::RejectRecord> one;
            if (!is_pipeline) {
                PN_TRY(one, ledger->rejects(filter));
            }
            PN_TRY(int64_t here, ledger->resolve(filter, flow::Resolution::discarded, now()));
            found += here;
            if (is_pipeline || !one.empty())
                take_from_measures(document, is_pipeline ? name : one.front().pipeline, here);
        }
        if (!is_pipeline && found == 0) return fail(no_such_reject(name));
        discarded += found;
    }
    PN_CHECK(session.json() ? print_json({{"discarded", discarded}})
                            : print(fmt::format("{} discarded\n", humane_count(discarded))));
    return 0;
}

}  // namespace penstock::app
