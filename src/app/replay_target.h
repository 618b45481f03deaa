#pragma once

#include <stop_token>

#include "app/pipeline.h"

namespace penstock::app {

/// How a table takes rows that came before: they are added, and never stand for the whole of it. Of events, what the table
/// has is left out, and a row by key replaces none that was received later.
Result<flow::TableTarget> replay_target(const Pipeline& pipeline, const flow::TableInfo& info);

/// What a killed run committed but had not yet shown must be seen before a replay looks; the target's plan sees to it.
Status settle_killed_runs(const Pipeline& pipeline, std::stop_token stop);

}  // namespace penstock::app
