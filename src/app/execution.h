#pragma once

#include <stop_token>
#include <vector>

#include "app/for_each.h"
#include "app/pipeline.h"
#include "app/progress.h"
#include "flow/runner.h"
#include "state/store.h"

namespace penstock::app {

enum class Company {
    alone,    ///< no other process may run the pipeline meanwhile
    allowed,  ///< others may, where the pipeline's source and target let them (flow/shared_stream.h)
};

struct Terms {
    std::optional<std::chrono::microseconds> most;  ///< that it may take
    Company company = Company::alone;
    std::chrono::microseconds patience{0};  ///< with another run that has the pipeline
    bool shares_process = false;            ///< other runs may go on in this process at the same time
};

/// Runs one pipeline: takes its lock, records its start, runs it, records its end, in the history and among its jobs. A
/// refused lock is a failed run, and so is one that takes longer than `most`.
flow::RunResult execute(const Pipeline& pipeline, flow::RunRequest request, state::Store& store, JobTables& jobs,
                        std::stop_token stop, Terms terms = {});

/// Those of `pipeline`'s dependencies that were to run and did not succeed; empty when it may run.
std::vector<std::string> unmet(const config::PipelineConfig& pipeline, const std::vector<flow::RunResult>& earlier);

/// What stands for a pipeline that was not run because of `waited_for`.
flow::RunResult skipped(const std::string& pipeline, const std::vector<std::string>& waited_for);

}  // namespace penstock::app
