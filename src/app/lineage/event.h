#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/operate/run_story.h"

namespace penstock::app {

/// OpenLineage 2-0-2's run events, with the facets that are known: docs/how-to/lineage.md lists them.
enum class LineageType { start, running, complete, abort, fail };
std::string_view to_string(LineageType type);

/// What a run has come to, as OpenLineage counts it.
LineageType lineage_type(const flow::RunResult& result);

/// The UUID of a run by its id.
std::string lineage_run(const std::string& run_id);

/// `result` is null while the run goes on. Datasets are there once the tables are planned.
nlohmann::ordered_json lineage_event(const RunStory& story, const std::string& name_space, LineageType type,
                                     const flow::RunResult* result, TimePoint at);
/// Of a run that cannot speak for itself any more.
nlohmann::ordered_json lineage_failure(const std::string& name_space, const state::GoneRun& gone, const Error& error,
                                       TimePoint at);

/// The same without the facets that grow with columns.
void leave_out_columns(nlohmann::ordered_json& event);

}  // namespace penstock::app
