#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/operate/run_story.h"

namespace penstock::app {

/// Who makes the events, as an URI: a package URL.
std::string lineage_producer();

/// A facet of that name, as OpenLineage's facets begin: who made it, and by which schema ("1-2-0/SchemaDatasetFacet").
nlohmann::ordered_json lineage_facet(const std::string& schema);

/// {inputs, outputs} of the tables that are planned; with what was counted and checked once there is a result.
nlohmann::ordered_json lineage_datasets(const RunStory& story, const flow::RunResult* result);

}  // namespace penstock::app
