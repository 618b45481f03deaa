#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/text_table.h"
#include "base/humane.h"

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
    std::string unknown;  ///< why the target could not be asked
};

/// The target may be busy or away; then the history has to do.
void ask_target(const Pipeline& pipeline, PipelineStatus& status) {
    auto ledger = pipeline.open_ledger();
    if (ledger && *ledger == nullptr) return;
    auto rejects = ledger ? (*ledger)->rejects({.pipeline = pipeline.name(), .open_only = true}) : fail(ledger.error());
    if (rejects) status.open_rejects = static_cast<int64_t>(rejects->size());
    auto checkpoints = ledger ? (*ledger)->checkpoints(pipeline.name()) : fail(ledger.error());
    if (checkpoints) status.checkpoints = std::move(*checkpoints);
    if (!ledger) status.unknown = ledger.error().message;
    else if (!rejects) status.unknown = rejects.error().message;
}

/// How old the oldest table's data is: since when changes at the source are missing.
std::optional<std::chrono::duration<double>> lag(const PipelineStatus& status) {
    if (status.checkpoints.empty()) return std::nullopt;
    auto oldest = std::ranges::min(status.checkpoints, {}, [](const auto& batch) { return batch.checkpoint.read_at; });
    if (oldest.checkpoint.read_at == TimePoint{}) return std::nullopt;
    return now() - oldest.checkpoint.read_at;
}

std::string status_text(const std::vector<PipelineStatus>& all) {
    TextTable table({{.heading = "PIPELINE"},
                     {.heading = "STATE"},
                     {.heading = "LAST RUN (UTC)"},
                     {.heading = "TOOK", .align = Align::right},
                     {.heading = "READ", .align = Align::right},
                     {.heading = "WRITTEN", .align = Align::right},
                     {.heading = "OPEN REJECTS", .align = Align::right},
                     {.heading = "DATA AGE", .align = Align::right},
                     {.heading = "REMARK", .most = 80}});
    for (const auto& status : all) {
        std::string rejects = status.open_rejects ? humane_count(*status.open_rejects) : "";
        std::string age = lag(status) ? humane_duration(*lag(status)) : "";
        if (!status.last) {
            table.add({status.name, "never run", "", "", "", "", rejects, age, status.unknown});
            continue;
        }
        auto counts = status.last->counts();
        table.add({status.name, status.last->status, moment(status.last->started_at),
                   humane_duration(status.last->duration), humane_count(counts.rows_read),
                   humane_count(counts.rows_written), rejects, age,
                   status.last->error ? status.last->error->message : status.unknown});
    }
    return table.text();
}

Json status_json(const PipelineStatus& status) {
    Json tables = Json::array();
    for (const auto& batch : status.checkpoints)
        tables.push_back(
            {{"table", batch.source},
             {"target", batch.target},
             {"batch", batch.batch},
             {"cursor", batch.checkpoint.cursor_to.empty() ? Json(nullptr) : Json(batch.checkpoint.cursor_to)},
             {"read_at", iso_time(batch.checkpoint.read_at)},
             {"committed_at", iso_time(batch.committed_at)}});
    return {{"pipeline", status.name},
            {"state", status.last ? status.last->status : "never run"},
            {"last_run", status.last ? record_json(*status.last) : Json(nullptr)},
            {"open_rejects", status.open_rejects ? Json(*status.open_rejects) : Json(nullptr)},
            {"lag_seconds", lag(status) ? Json(lag(status)->count()) : Json(nullptr)},
            {"tables", tables},
            {"remark", status.unknown.empty() ? Json(nullptr) : Json(status.unknown)},
            {"next_run", nullptr}};
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
    for (const auto& pipeline : pipelines) {
        PipelineStatus status{.name = pipeline.name()};
        auto last = std::ranges::find(last_runs, pipeline.name(), &state::RunRecord::pipeline);
        if (last != last_runs.end()) status.last = *last;
        ask_target(pipeline, status);
        all.push_back(std::move(status));
    }
    if (session.json()) {
        Json list = Json::array();
        for (const auto& status : all) list.push_back(status_json(status));
        PN_CHECK(print_json({{"pipelines", list}}));
    } else {
        PN_CHECK(print(status_text(all)));
    }
    return 0;
}

}  // namespace penstock::app
