#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/comparisons.h"
#include "app/operate/backup_view.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/schedule/view.h"
#include "app/slot_view.h"
#include "app/text_table.h"
#include "base/humane.h"
#include "base/log.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

/// What is known of one pipeline, from the history and from its target.
struct PipelineStatus {
    std::string name;
    std::optional<state::RunRecord> last;
    std::optional<int64_t> open_rejects;
    std::vector<flow::BatchRecord> checkpoints;
    std::vector<std::string> troubles;  ///< of single tables of its stream
    std::string unknown;                ///< why the target or the source could not be asked
    bool is_stream = false;
    std::optional<flow::Slot> slot;   ///< that its stream reads
    flow::Charge today;               ///< what its runs have spent
    std::optional<double> daily_usd;  ///< and may
    ScheduleView schedule;
    std::optional<Comparisons> compared;  ///< with the source
};

/// The target may be busy or away; then the history has to do.
void ask_target(const Pipeline& pipeline, PipelineStatus& status) {
    auto ledger = pipeline.open_ledger();
    if (ledger && *ledger == nullptr) return;
    auto rejects = ledger ? (*ledger)->rejects({.pipeline = pipeline.name(), .open_only = true}) : fail(ledger.error());
    if (rejects) status.open_rejects = static_cast<int64_t>(rejects->size());
    auto checkpoints = ledger ? (*ledger)->checkpoints(pipeline.name()) : fail(ledger.error());
    if (checkpoints) status.checkpoints = std::move(*checkpoints);
    for (const auto& batch : status.checkpoints)
        if (batch.source == flow::stream_row) status.troubles = pipeline.stream_troubles(batch.checkpoint);
    if (!ledger) status.unknown = ledger.error().message;
    else if (!rejects) status.unknown = rejects.error().message;
}

/// How the slots stand that the pipelines' streams read; a server is asked once.
void ask_sources(const config::Document& document, const std::vector<Pipeline>& pipelines, std::stop_token stop,
                 std::vector<PipelineStatus>& all) {
    std::map<std::string, Result<std::vector<flow::Slot>>> asked;
    for (size_t i = 0; i < pipelines.size(); ++i) {
        all[i].is_stream = pipelines[i].is_stream();
        auto name = pipelines[i].slot();
        if (name.empty()) continue;
        const auto& connection = pipelines[i].source_connection();
        auto known = asked.find(connection);
        if (known == asked.end()) {
            SlotServer server(document, *document.connection(connection), stop);
            known = asked.emplace(connection, server.list()).first;
        }
        if (!known->second) {
            if (all[i].unknown.empty()) all[i].unknown = known->second.error().message;
            continue;
        }
        auto slot = std::ranges::find(*known->second, name, &flow::Slot::name);
        if (slot != known->second->end()) all[i].slot = *slot;
    }
}

/// What most wants to be known of the pipeline, in a line.
std::string remark(const PipelineStatus& status) {
    if (status.slot && status.slot->grave) return fmt::format("slot {}: {}", status.slot->name, status.slot->concern);
    if (status.last && status.last->error) return status.last->error->message;
    if (status.slot && !status.slot->concern.empty())
        return fmt::format("slot {}: {}", status.slot->name, status.slot->concern);
    if (status.compared && status.compared->differences > 0)
        return fmt::format("{} rows differ from the source: `penstock verify {}`",
                           humane_count(status.compared->differences), status.name);
    if (!status.schedule.waits_for.empty()) return "waits: " + status.schedule.waits_for;
    return status.unknown;
}

/// How old the oldest table's data is: since when changes at the source are missing. The tables of a stream are as far as the
/// stream is, which is where the newest of them is.
std::optional<std::chrono::duration<double>> lag(const PipelineStatus& status) {
    if (status.checkpoints.empty()) return std::nullopt;
    auto read_at = [](const auto& batch) { return batch.checkpoint.read_at; };
    auto batch = status.is_stream ? std::ranges::max(status.checkpoints, {}, read_at)
                                  : std::ranges::min(status.checkpoints, {}, read_at);
    if (batch.checkpoint.read_at == TimePoint{}) return std::nullopt;
    return now() - batch.checkpoint.read_at;
}

std::string usd_today(const PipelineStatus& status) {
    if (status.today.usd == 0 && !status.daily_usd) return "";
    auto spent = flow::usd_text(status.today.usd);
    return status.daily_usd ? fmt::format("{} of {}", spent, flow::usd_text(*status.daily_usd)) : spent;
}

std::string status_text(const std::vector<PipelineStatus>& all) {
    TextTable table({{.heading = "PIPELINE"},
                     {.heading = "STATE"},
                     {.heading = "LAST RUN (UTC)"},
                     {.heading = "NEXT RUN (UTC)"},
                     {.heading = "TOOK", .align = Align::right},
                     {.heading = "READ", .align = Align::right},
                     {.heading = "WRITTEN", .align = Align::right},
                     {.heading = "OPEN REJECTS", .align = Align::right},
                     {.heading = "DATA AGE", .align = Align::right},
                     {.heading = "BEHIND", .align = Align::right},
                     {.heading = "SLOT KEEPS", .align = Align::right},
                     {.heading = "ROOM", .align = Align::right},
                     {.heading = "LASTS", .align = Align::right},
                     {.heading = "USD TODAY", .align = Align::right},
                     {.heading = "REMARK", .most = 80}});
    for (const auto& status : all) {
        std::string rejects = status.open_rejects ? humane_count(*status.open_rejects) : "";
        std::string age = lag(status) ? humane_duration(*lag(status)) : "";
        auto slot = status.slot.value_or(flow::Slot());
        std::string behind = shown_bytes(slot.lag_bytes), keeps = shown_bytes(slot.retained_bytes),
                    room = shown_bytes(slot.room_bytes), lasts = shown_seconds(slot.seconds_left()),
                    usd = usd_today(status);
        if (!status.last) {
            table.add({status.name, "never run", "", next_text(status.schedule), "", "", "", rejects, age, behind,
                       keeps, room, lasts, usd, remark(status)});
            continue;
        }
        auto counts = status.last->counts();
        table.add({status.name, status.last->status, moment(status.last->started_at), next_text(status.schedule),
                   humane_duration(status.last->duration), humane_count(counts.rows_read),
                   humane_count(counts.rows_written), rejects, age, behind, keeps, room, lasts, usd, remark(status)});
    }
    std::string fixes;
    for (const auto& status : all)
        for (const auto& trouble : status.troubles) fixes += fmt::format("\n{}: {}\n", status.name, trouble);
    for (const auto& status : all)
        if (status.slot && !status.slot->fix.empty())
            fixes += fmt::format("\n{}: {}\n  fix: {}\n", status.name, status.slot->concern,
                                 slot_fix(*status.slot, status.name));
    return table.text() + fixes;
}

Json slot_of(const flow::Slot& slot, const std::string& pipeline) {
    Json json = {{"slot", slot.name}};
    json.update(slot_json(slot, pipeline));
    return json;
}

Json comparisons_json(const Comparisons& found) {
    return {{"differences", found.differences},
            {"differing_parts", found.differ},
            {"since", found.since == TimePoint{} ? Json(nullptr) : Json(iso_time(found.since))}};
}

Json status_json(const PipelineStatus& status) {
    Json tables = Json::array();
    for (const auto& batch : status.checkpoints) {
        if (batch.source == flow::stream_row) continue;
        tables.push_back(
            {{"table", batch.source},
             {"target", batch.target},
             {"batch", batch.batch},
             {"cursor", batch.checkpoint.cursor_to.empty() ? Json(nullptr) : Json(batch.checkpoint.cursor_to)},
             {"read_at", iso_time(batch.checkpoint.read_at)},
             {"committed_at", iso_time(batch.committed_at)}});
    }
    return {{"pipeline", status.name},
            {"state", status.last ? status.last->status : "never run"},
            {"last_run", status.last ? record_json(*status.last) : Json(nullptr)},
            {"open_rejects", status.open_rejects ? Json(*status.open_rejects) : Json(nullptr)},
            {"lag_seconds", lag(status) ? Json(lag(status)->count()) : Json(nullptr)},
            {"lag_bytes", status.slot && status.slot->lag_bytes ? Json(*status.slot->lag_bytes) : Json(nullptr)},
            {"slot", status.slot ? slot_of(*status.slot, status.name) : Json(nullptr)},
            {"tables", tables},
            {"troubles", status.troubles},
            {"spent_today",
             {{"bytes_billed", status.today.bytes_billed},
              {"usd", status.today.usd},
              {"daily_usd", status.daily_usd ? Json(*status.daily_usd) : Json(nullptr)}}},
            {"verified", status.compared ? comparisons_json(*status.compared) : Json(nullptr)},
            {"remark", status.unknown.empty() ? Json(nullptr) : Json(status.unknown)},
            {"next_run", status.schedule.next ? Json(iso_time(*status.schedule.next)) : Json(nullptr)},
            {"paused", status.schedule.paused},
            {"waits_for", status.schedule.waits_for.empty() ? Json(nullptr) : Json(status.schedule.waits_for)},
            {"open_intervals", status.schedule.open}};
}

/// What is measured of the pipelines; and what targets were asked for, metrics then know exactly.
Status compare_notes(const config::Document& document, std::vector<PipelineStatus>& all) {
    PN_TRY(auto measures, state::Measures::open_existing(document.state.reveal(), document.state_directory));
    if (!measures) return {};
    PN_TRY(auto known, measures->all());
    auto compared = comparisons_of(known);
    for (auto& status : all)
        if (auto found = compared.find(status.name); found != compared.end()) status.compared = found->second;
    for (const auto& status : all) {
        if (!status.open_rejects) continue;
        state::Measure exact{.owner = status.name,
                             .kind = state::Measure::Kind::open_rejects,
                             .amount = *status.open_rejects,
                             .measured_at = now()};
        auto before = std::ranges::find_if(
            known, [&](const auto& one) { return one.owner == exact.owner && one.kind == exact.kind; });
        if (exact.amount != (before == known.end() ? 0 : before->amount)) PN_CHECK(measures->set(exact));
    }
    return {};
}

}  // namespace

Result<int> command::status(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, session.options.names));
    PN_TRY(auto store, look_at_state(document));
    std::vector<state::RunRecord> last_runs;
    if (store) {
        PN_TRY(last_runs, store->last_runs());
    }
    std::vector<PipelineStatus> all;
    PN_TRY(auto schedules, view_schedules(document));
    for (const auto& pipeline : pipelines) {
        PipelineStatus status{.name = pipeline.name()};
        const auto& config = pipeline.config();
        status.schedule = schedules[config.origin.empty() ? config.name : config.origin];
        auto last = std::ranges::find(last_runs, pipeline.name(), &state::RunRecord::pipeline);
        if (last != last_runs.end()) status.last = *last;
        status.daily_usd = pipeline.config().budget.daily_usd;
        if (store) {
            PN_TRY(status.today, store->spent_on_day(pipeline.name(), now()));
        }
        ask_target(pipeline, status);
        all.push_back(std::move(status));
    }
    ask_sources(document, pipelines, session.stop, all);
    if (auto noted = compare_notes(document, all); !noted)
        log::debug("what is measured is not known, nor the rejects to metrics: {}", noted.error().message);
    std::vector<BackupView> backups;
    if (session.options.names.empty()) {
        PN_TRY(backups, view_backups(document));
    }
    if (session.json()) {
        Json list = Json::array();
        for (const auto& status : all) list.push_back(status_json(status));
        PN_CHECK(print_json({{"pipelines", list}, {"backups", backups_json(backups)}}));
    } else {
        PN_CHECK(print(status_text(all) + backups_text(backups)));
    }
    return 0;
}

}  // namespace penstock::app
