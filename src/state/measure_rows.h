#pragma once

#include <string>

#include "flow/runner.h"
#include "state/measures.h"
#include "state/soci.h"

namespace penstock::state {

/// What a run's end adds to the measures, within the transaction that puts it on record.
void count_run(soci::session& sql, const flow::RunResult& result);
/// So many runs of the pipeline ended with their process.
void count_crashes(soci::session& sql, const std::string& pipeline, long long crashes);

}  // namespace penstock::state
