#include "app/run_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_json.h"
#include "app/run_log_view.h"
#include "app/run_text.h"
#include "app/text_table.h"
#include "app/usage_mistake.h"
#include "base/humane.h"

namespace penstock::app {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

namespace {

constexpr int searched_runs = 10'000;

std::string billed_or_blank(const flow::Charge& spent) {
    return spent.bytes_billed == 0 ? "" : humane_bytes(static_cast<uint64_t>(spent.bytes_billed));
}

std::string usd_or_blank(const flow::Charge& spent) { return spent.usd == 0 ? "" : flow::usd_text(spent.usd); }

std::string window_text(const state::RunRecord& record) {
    if (record.window_end == TimePoint{}) return "";
    return fmt::format("{} to {}", moment(record.window_start), moment(record.window_end));
}

std::string list_text(const std::vector<state::RunRecord>& records) {
    TextTable table({{.heading = "ID"},
                     {.heading = "PIPELINE"},
                     {.heading = "STATUS"},
                     {.heading = "STARTED (UTC)"},
                     {.heading = "BY"},
                     {.heading = "WINDOW (UTC)"},
                     {.heading = "TIME", .align = Align::right},
                     {.heading = "READ", .align = Align::right},
                     {.heading = "WRITTEN", .align = Align::right},
                     {.heading = "REJECTED", .align = Align::right},
                     {.heading = "BILLED", .align = Align::right},
                     {.heading = "USD", .align = Align::right},
                     {.heading = "ERROR", .most = 60}});
    for (const auto& record : records) {
        auto counts = record.counts();
        table.add({record.run_id, record.pipeline, record.status, moment(record.started_at), record.origin,
                   window_text(record), humane_duration(record.duration), humane_count(counts.rows_read),
                   humane_count(counts.rows_written), count_or_blank(counts.rows_rejected),
                   billed_or_blank(record.spent), usd_or_blank(record.spent),
                   record.error ? record.error->message : ""});
    }
    return table.text();
}

std::string checks_text(const state::RunRecord& record) {
    TextTable table({{.heading = "CHECK"},
                     {.heading = "TABLE"},
                     {.heading = "ROWS"},
                     {.heading = "RESULT"},
                     {.heading = "ON FAIL"},
                     {.heading = "UNEXPECTED", .align = Align::right},
                     {.heading = "OF", .align = Align::right},
                     {.heading = "OBSERVED", .most = 60},
                     {.heading = "COMPARED WITH", .most = 90}});
    for (const auto& of : record.tables)
        for (const auto& [pipeline, run_id, published, one] : of.validations)
            table.add({one.check, of.source, one.rows, one.success ? "passed" : "failed", one.on_fail,
                       count_or_blank(one.unexpected_count), count_or_blank(one.element_count), one.observed,
                       one.compared});
    return table.empty() ? "" : "\n" + table.text();
}

std::string detail_text(const state::RunRecord& record) {
    std::string text = fmt::format(
        "run       {}\npipeline  {}\nstatus    {}\nstarted   {} UTC\ntook      {}, {} {}\nmemory    {} at most\nby     "
        "   process {} on {}\n\n",
        record.run_id, record.pipeline, record.status, moment(record.started_at), humane_duration(record.duration),
        record.attempts, record.attempts == 1 ? "try" : "tries", humane_bytes(record.peak_memory_bytes), record.pid,
        record.host);
    text.insert(text.size() - 1, fmt::format("began by  {}\n", record.origin));
    if (record.window_end != TimePoint{})
        text.insert(text.size() - 1, fmt::format("window    {} UTC\n", window_text(record)));
    if (record.spent.usd > 0 || record.spent.bytes_billed > 0)
        text.insert(text.size() - 1,
                    fmt::format("cost      {} USD, {} billed, {} of slots\n", flow::usd_text(record.spent.usd),
                                humane_bytes(static_cast<uint64_t>(record.spent.bytes_billed)),
                                humane_duration(std::chrono::milliseconds(record.spent.slot_millis))));
    TextTable table({{.heading = "TABLE"},
                     {.heading = "TARGET"},
                     {.heading = "READ", .align = Align::right},
                     {.heading = "WRITTEN", .align = Align::right},
                     {.heading = "REJECTED", .align = Align::right},
                     {.heading = "FILTERED", .align = Align::right},
                     {.heading = "SIZE", .align = Align::right},
                     {.heading = "TIME", .align = Align::right},
                     {.heading = "CURSOR FROM"},
                     {.heading = "TO"}});
    for (const auto& of : record.tables)
        table.add({of.source, of.target, humane_count(of.counts.rows_read), humane_count(of.counts.rows_written),
                   count_or_blank(of.counts.rows_rejected), count_or_blank(of.counts.rows_filtered),
                   humane_bytes(static_cast<uint64_t>(of.counts.bytes_read)), humane_duration(of.duration),
                   of.checkpoint.cursor_from, of.checkpoint.cursor_to});
    if (!table.empty()) text += table.text();
    for (const auto& of : record.tables)
        for (const auto& decision : of.decisions)
            text += fmt::format("\n{}: {} {}: {}", of.target, decision.change, decision.column, decision.decision);
    text += checks_text(record);
    if (record.error) text += "\n" + record.error->text() + "\n";
    return text;
}

Error no_such_run(const std::string& id) {
    return {.kind = ErrorKind::usage,
            .code = "unknown_run",
            .message = fmt::format("there is no run '{}' in the history", id),
            .hint = "`penstock runs` lists them"};
}

/// By its id or the beginning of it, when only one begins so.
Result<state::RunRecord> find_run(state::Store& store, const std::string& id) {
    PN_TRY(auto exact, store.run(id));
    if (exact) return std::move(*exact);
    PN_TRY(auto records, store.runs(searched_runs));
    std::erase_if(records, [&](const auto& record) { return !record.run_id.starts_with(id); });
    if (records.size() == 1) return std::move(records.front());
    if (records.empty()) return fail(no_such_run(id));
    return fail({.kind = ErrorKind::usage,
                 .code = "ambiguous_run",
                 .message = fmt::format("{} runs begin with '{}'", records.size(), id),
                 .hint = "type more of the id; `penstock runs` lists them"});
}

}  // namespace

Json record_json(const state::RunRecord& record) {
    flow::RunResult result;
    result.identity = {.pipeline = record.pipeline, .run_id = record.run_id};
    result.tables = record.tables;
    result.error = record.error;
    result.attempts = record.attempts;
    result.started_at = record.started_at;
    result.duration = record.duration;
    result.peak_memory_bytes = record.peak_memory_bytes;
    result.spent = {.bytes_billed = record.spent.bytes_billed, .slot_millis = record.spent.slot_millis};
    result.cost_usd = record.spent.usd;
    result.deferred_until = record.deferred_until;
    Json json = run_json(result);
    json["status"] = record.status;
    json["origin"] = record.origin;
    json["window"] = record.window_end == TimePoint{}
                         ? Json(nullptr)
                         : Json({{"start", iso_time(record.window_start)}, {"end", iso_time(record.window_end)}});
    return json;
}

std::string moment(TimePoint time) {
    if (time == TimePoint{}) return "";
    std::string text = iso_time(time).substr(0, 19);
    text[10] = ' ';
    return text;
}

Result<int> command::runs(const Session& session) {
    const Options& options = session.options;
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto store, look_at_state(document));
    std::vector<state::RunRecord> records;
    if (!options.names.empty()) {
        if (!store) return fail(no_such_run(options.names.front()));
        PN_TRY(auto record, find_run(*store, options.names.front()));
        if (options.log) {
            PN_TRY(auto log, run_log_json(document, record, 0, most_log_lines));
            PN_CHECK(session.json() ? print_json(log) : print(run_log_text(log)));
            return 0;
        }
        records.push_back(std::move(record));
    } else if (options.log) {
        return fail(misused("log_of_which", "`--log` shows the log of one run", "`penstock runs` lists their ids"));
    } else if (store) {
        PN_TRY(records,
               store->runs(static_cast<int>(std::min<int64_t>(options.most, searched_runs)), options.pipeline));
    }
    if (session.json()) {
        Json list = Json::array();
        for (const auto& record : records) list.push_back(record_json(record));
        PN_CHECK(print_json({{"runs", list}}));
    } else {
        PN_CHECK(print(options.names.empty() ? list_text(records) : detail_text(records.front())));
    }
    return 0;
}

}  // namespace penstock::app
