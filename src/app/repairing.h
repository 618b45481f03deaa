#pragma once

#include <stop_token>
#include <vector>

#include "app/pipeline.h"
#include "app/verified.h"
#include "flow/runner.h"

namespace penstock::app {

/// Makes rows of the target equal that `verify` has found to differ: they are read again from the source by their keys and merged,
/// and those that the source has not are taken away, in one commit a table, as a run like any other. Checkpoints stay where they
/// are. What cannot be repaired is refused before anything is written.
Status repair(const config::Document& document, Pipeline& pipeline, const std::vector<VerifiedTable>& tables,
              std::stop_token stop);

}  // namespace penstock::app
