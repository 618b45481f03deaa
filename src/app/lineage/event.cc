#include "app/lineage/event.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "app/lineage/datasets.h"
#include "base/uuid.h"
#include "base/version.h"
#include "config/query_file.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

/// "namespace/job/run", as Airflow's lineage_parent_id and dbt-ol have it. Nothing where it is not that.
std::optional<Json> named_parent(const char* variable) {
    const char* value = std::getenv(variable);
    std::string text = value == nullptr ? "" : value;
    auto run = text.rfind('/');
    if (run == text.npos || run == 0 || text.size() - run - 1 != 36) return {};
    auto job = text.rfind('/', run - 1);
    if (job == text.npos || job == 0) return {};
    return Json{{"run", {{"runId", text.substr(run + 1)}}},
                {"job", {{"namespace", text.substr(0, job)}, {"name", text.substr(job + 1, run - job - 1)}}}};
}

/// The window of a schedule is what its runs, first and later attempts, have in common; a run by hand belongs to whoever called.
std::optional<Json> parent_of(const RunStory& story, const std::string& name_space) {
    auto facet = lineage_facet("1-2-0/ParentRunFacet");
    if (story.cause.token.empty()) {
        auto parent = named_parent("OPENLINEAGE_PARENT_ID");
        if (!parent) return {};
        facet.update(*parent);
        if (auto root = named_parent("OPENLINEAGE_ROOT_PARENT_ID")) facet["root"] = std::move(*root);
        return facet;
    }
    const auto& config = story.pipeline.config();
    const auto& name = config.origin.empty() ? config.name : config.origin;
    auto window = fmt::format("penstock:window:{}:{}:{}/{}", name_space, name, iso_time(story.cause.window_start),
                              iso_time(story.cause.window_end));
    facet["run"] = {{"runId", uuid_of(window)}};
    facet["job"] = {{"namespace", name_space}, {"name", name + ".schedule"}};
    return facet;
}

Json engine_facet() {
    auto facet = lineage_facet("1-1-1/ProcessingEngineRunFacet");
    facet["version"] = version;
    facet["name"] = "penstock";
    facet["openlineageAdapterVersion"] = version;
    return facet;
}

Json error_facet(const Error& error) {
    auto facet = lineage_facet("1-0-1/ErrorMessageRunFacet");
    facet["message"] = error.message;
    facet["programmingLanguage"] = "C++";
    std::string more = error.code;
    if (!error.where.empty()) more += "\nat " + error.where;
    if (!error.hint.empty()) more += "\n" + error.hint;
    facet["stackTrace"] = more;
    return facet;
}

Json tags_facet(const std::string& run_id, std::string_view origin) {
    auto facet = lineage_facet("1-0-0/TagsRunFacet");
    facet["tags"] = {{{"key", "penstock_run_id"}, {"value", run_id}, {"source", "PENSTOCK"}}};
    if (!origin.empty())
        facet["tags"].push_back({{"key", "penstock_origin"}, {"value", origin}, {"source", "PENSTOCK"}});
    return facet;
}

/// Whole text of a `query:`, also one that stands in a file.
std::optional<std::string> query_of(const config::PipelineConfig& config) {
    const auto* query = config.source.find("query");
    if (query == nullptr) return {};
    config::Text text{.value = query->text, .place = query->place};
    if (!config::read_query_file(text)) return {};
    return text.value;
}

Json job_facets(const Pipeline& pipeline) {
    const auto& config = pipeline.config();
    auto type = lineage_facet("2-0-4/JobTypeJobFacet");
    type["processingType"] = pipeline.is_stream() ? "STREAMING" : "BATCH";
    type["integration"] = "PENSTOCK";
    type["jobType"] = "PIPELINE";
    Json facets = {{"jobType", std::move(type)}};
    if (auto query = query_of(config)) {
        auto facet = lineage_facet("1-1-0/SQLJobFacet");
        facet["query"] = *query;
        facet["dialect"] = pipeline.document().connection(config.source_connection)->type;
        facets["sql"] = std::move(facet);
    }
    return facets;
}

Json begin_event(LineageType type, const std::string& run_id, TimePoint at) {
    return {{"eventType", to_string(type)},
            {"eventTime", iso_time(at)},
            {"producer", lineage_producer()},
            {"schemaURL", "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
            {"run", {{"runId", lineage_run(run_id)}, {"facets", {{"processing_engine", engine_facet()}}}}}};
}

}  // namespace

std::string_view to_string(LineageType type) {
    switch (type) {
        case LineageType::start: return "START";
        case LineageType::running: return "RUNNING";
        case LineageType::complete: return "COMPLETE";
        case LineageType::abort: return "ABORT";
        case LineageType::fail: return "FAIL";
    }
    std::unreachable();
}

LineageType lineage_type(const flow::RunResult& result) {
    switch (result.status) {
        case flow::RunStatus::success: return LineageType::complete;
        case flow::RunStatus::failed: return LineageType::fail;
        case flow::RunStatus::skipped:
        case flow::RunStatus::stopped: return LineageType::abort;
    }
    std::unreachable();
}

std::string lineage_run(const std::string& run_id) { return uuid_of("penstock:run:" + run_id); }

Json lineage_event(const RunStory& story, const std::string& name_space, LineageType type,
                   const flow::RunResult* result, TimePoint at) {
    auto event = begin_event(type, story.identity.run_id, at);
    auto& facets = event["run"]["facets"];
    facets["tags"] = tags_facet(story.identity.run_id, schedule::to_string(story.cause.origin));
    if (story.cause.window_end != TimePoint{}) {
        auto nominal = lineage_facet("1-0-1/NominalTimeRunFacet");
        nominal["nominalStartTime"] = iso_time(story.cause.window_start);
        nominal["nominalEndTime"] = iso_time(story.cause.window_end);
        facets["nominalTime"] = std::move(nominal);
    }
    if (auto parent = parent_of(story, name_space)) facets["parent"] = std::move(*parent);
    if (result != nullptr && result->error) facets["errorMessage"] = error_facet(*result->error);
    event["job"] = {{"namespace", name_space}, {"name", story.identity.pipeline}};
    event["job"]["facets"] = job_facets(story.pipeline);
    event.update(lineage_datasets(story, result));
    return event;
}

Json lineage_failure(const std::string& name_space, const state::GoneRun& gone, const Error& error, TimePoint at) {
    auto event = begin_event(LineageType::fail, gone.run_id, at);
    event["run"]["facets"]["tags"] = tags_facet(gone.run_id, "");
    event["run"]["facets"]["errorMessage"] = error_facet(error);
    event["job"] = {{"namespace", name_space}, {"name", gone.pipeline}};
    return event;
}

void leave_out_columns(Json& event) {
    for (const char* side : {"inputs", "outputs"})
        if (auto found = event.find(side); found != event.end())
            for (auto& dataset : *found)
                for (const char* facet : {"schema", "columnLineage"}) dataset["facets"].erase(facet);
}

}  // namespace penstock::app
