#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "app/work/child.h"
#include "config/pipeline.h"
#include "flow/component.h"
#include "flow/runner.h"

namespace penstock::app {

/// Pipelines that are work of another program: `command` or `dbt` in place of source and target (config/work.h).

/// What stands for the source and the target of such a pipeline. It has no rows, and says so to whoever asks for them.
const flow::Component& work_component();

/// One try at it.
struct WorkTry {
    const config::PipelineConfig& pipeline;
    std::filesystem::path directory;  ///< of the configuration
    std::string run_id;               ///< "" where nothing is run
    bool full_refresh = false;
};

/// What would be run.
Result<Program> program_of(const WorkTry& work);
/// The connection that the program writes; "" none that is known.
std::string written_connection(const config::PipelineConfig& pipeline);

/// Runs it. `tables` are what it says it has written, whatever became of the rest.
Status do_work(const WorkTry& work, std::vector<flow::TableResult>& tables, std::stop_token stop);

}  // namespace penstock::app
