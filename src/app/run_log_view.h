#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "config/document.h"
#include "state/record.h"

namespace penstock::app {

/// What a run has logged, for whoever looks: {"run_id", "pipeline", "lines": […], "left_out": N}, of lines whose number is above `after`. A
/// line is as the JSON log has it, with its `number`; `left_out` counts those between them that were not kept.
Result<nlohmann::ordered_json> run_log_json(const config::Document& document, const state::RunRecord& run,
                                            int64_t after, int most);
/// For people.
std::string run_log_text(const nlohmann::ordered_json& log);

/// A run keeps no more lines.
inline constexpr int most_log_lines = 500;

}  // namespace penstock::app
