#include <nlohmann/json.hpp>

#include "app/http/api_actions.h"
#include "app/http/api_backups.h"
#include "app/http/api_route.h"
#include "app/http/api_views.h"
#include "app/run_log_view.h"

namespace penstock::app::http {
namespace {

using In = ApiParameter::In;
using Type = ApiParameter::Type;
using config::Role;

const ApiParameter pipeline_in_path{"pipeline", In::path, Type::text, "The pipeline's name.", true};

ApiParameter limit(int64_t otherwise, int64_t most) {
    return {"limit", In::query, Type::whole, "How many at most.", false, otherwise, 1, most};
}

/// As JSON in a browser has it exactly.
constexpr int64_t most_line_number = int64_t{1} << 53;

std::vector<ApiRoute> looking() {
    return {
        {"GET", "/openapi.json", "openApi", Role::viewer, "This document.", {}, "openapi", "string", show_open_api},
        {"GET",
         "/me",
         "whoAmI",
         Role::viewer,
         "Whose token it is, and what its owner may do.",
         {},
         "role",
         "string",
         show_me},
        {"GET",
         "/pipelines",
         "listPipelines",
         Role::viewer,
         "All pipelines: last run, next run, lag, open rejects, of what the state knows.",
         {},
         "pipelines",
         "array",
         list_pipelines},
        {"GET",
         "/pipelines/{pipeline}",
         "showPipeline",
         Role::viewer,
         "One of them.",
         {pipeline_in_path},
         "pipeline",
         "string",
         show_pipeline},
        {"GET",
         "/runs",
         "listRuns",
         Role::viewer,
         "Runs, the newest first, with counts, checks and errors.",
         {{"pipeline", In::query, Type::text, "Only of this pipeline."},
          limit(50, 1000),
          {"before", In::query, Type::text, "The id of the run behind which to go on."}},
         "runs",
         "array",
         list_runs},
        {"GET",
         "/runs/{run}",
         "showRun",
         Role::viewer,
         "One of them.",
         {{"run", In::path, Type::text, "The run's id.", true}},
         "run_id",
         "string",
         show_run},
        {"GET",
         "/runs/{run}/log",
         "showRunLog",
         Role::operate,
         "What it has logged, from info on, also while it runs; `left_out` lines in the middle were not kept.",
         {{"run", In::path, Type::text, "The run's id.", true},
          {"after", In::query, Type::whole, "Only lines whose number is above this.", false, 0, 0, most_line_number},
          limit(most_log_lines, most_log_lines)},
         "lines",
         "array",
         show_run_log},
    };
}

std::vector<ApiRoute> looking_elsewhere() {
    return {
        {"GET",
         "/pipelines/{pipeline}/rejects",
         "listRejects",
         Role::operate,
         "Rejected rows that nobody has dealt with, with their reasons and values. The target is asked.",
         {pipeline_in_path,
          {"table", In::query, Type::text, "Only rows of this source table."},
          {"search", In::query, Type::text,
           "Only rows with this in their reason, code, table, column, key or values, whatever its case. The oldest ten "
           "thousand are searched."},
          limit(50, 500),
          {"offset", In::query, Type::whole, "How many to leave out.", false, 0, 0, 9000}},
         "rejects",
         "array",
         list_rejects,
         true},
        {"GET",
         "/pipelines/{pipeline}/schema",
         "listSchemaHistory",
         Role::viewer,
         "Every decision about the shape of a target table. The target is asked.",
         {pipeline_in_path, {"table", In::query, Type::text, "The target's name of the table.", true}},
         "history",
         "array",
         list_schema,
         true},
        {"GET",
         "/slots",
         "listSlots",
         Role::viewer,
         "Replication slots of all sources. The servers are asked.",
         {},
         "slots",
         "array",
         list_slots,
         true},
        {"GET",
         "/audit",
         "listAudit",
         Role::admin,
         "What was done through this API, the newest first.",
         {limit(50, 1000), {"before", In::query, Type::text, "The id behind which to go on."}},
         "audit",
         "array",
         list_audit},
    };
}

std::vector<ApiRoute> acting() {
    using P = ApiParameter;
    P table{"table", In::body, Type::text, "Only rows of this source table."};
    P dry{"dry_run", In::body, Type::truth, "Only say what would be done."};
    return {
        {"POST",
         "/pipelines/{pipeline}/run",
         "runPipeline",
         Role::operate,
         "Has it run as soon as a worker is free; of a schedule's window what has gone by.",
         {pipeline_in_path},
         "requested",
         "integer",
         run_pipeline},
        {"POST",
         "/pipelines/{pipeline}/pause",
         "pausePipeline",
         Role::operate,
         "Keeps new scheduled runs from beginning.",
         {pipeline_in_path},
         "paused",
         "boolean",
         pause_pipeline},
        {"POST",
         "/pipelines/{pipeline}/resume",
         "resumePipeline",
         Role::operate,
         "Lets them begin again.",
         {pipeline_in_path},
         "paused",
         "boolean",
         resume_pipeline},
        {"POST",
         "/pipelines/{pipeline}/backfill",
         "backfillPipeline",
         Role::operate,
         "Has the windows of a stretch of time run again.",
         {pipeline_in_path,
          {"from", In::body, Type::moment, "The first moment: 2026-11-01, or 2026-11-01T06:30:00Z.", true},
          {"to", In::body, Type::moment, "The one behind the last.", true},
          {"contiguous", In::body, Type::truth, "One run for all of it."},
          dry},
         "windows",
         "array",
         backfill_pipeline,
         true},
        {"POST",
         "/pipelines/{pipeline}/rejects/replay",
         "replayRejects",
         Role::operate,
         "Reads rejected rows again from the source and writes them.",
         {pipeline_in_path, table, {"id", In::body, Type::text, "Only this one."}, dry},
         "",
         "",
         replay_rejects,
         true},
        {"POST",
         "/pipelines/{pipeline}/rejects/discard",
         "discardRejects",
         Role::admin,
         "Lets rejected rows go without writing them: one, or all of the pipeline.",
         {pipeline_in_path, table, {"id", In::body, Type::text, "Only this one."}},
         "discarded",
         "integer",
         discard_rejects,
         true},
    };
}

}  // namespace

std::span<const ApiRoute> api_routes() {
    static const std::vector<ApiRoute> all = [] {
        std::vector<ApiRoute> routes;
        for (const auto& part : {looking(), looking_elsewhere(), backup_routes(), acting()})
            routes.insert(routes.end(), part.begin(), part.end());
        return routes;
    }();
    return all;
}

}  // namespace penstock::app::http
