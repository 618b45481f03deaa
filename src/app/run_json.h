#pragma once

#include <nlohmann/json_fwd.hpp>

#include "flow/runner.h"

namespace penstock::app {

/// A run as `run --output json` and `runs --output json` show it: see docs/output.md.
nlohmann::ordered_json run_json(const flow::RunResult& result);
/// Counts of a run or a table, with the names users know.
nlohmann::ordered_json counts_json(const flow::Counts& counts);
nlohmann::ordered_json table_json(const flow::TableResult& table);

nlohmann::ordered_json text_or_null(const std::string& text);
/// null where it is not known.
nlohmann::ordered_json known_json(const std::optional<double>& value);
nlohmann::ordered_json known_json(const std::optional<TimePoint>& value);

}  // namespace penstock::app
