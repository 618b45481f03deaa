#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/database.h"
#include "flow/validation.h"

namespace penstock::duckdb {

/// Into penstock.validation_results, which is made where it is missing. Part of the open transaction.
Status keep_validations(engine::Connection& connection, std::span<const flow::ValidationRecord> records);

/// Oldest first; "" is every pipeline, every run. Copes with the table's absence.
Result<std::vector<flow::ValidationRecord>> kept_validations(engine::Connection& connection, std::string_view pipeline,
                                                             std::string_view run_id);

/// A table to be asked over a connection, which must outlive the answer; nothing where it is not there.
Result<std::optional<flow::AskedTable>> asked_table(engine::Connection& connection, const std::string& name);

}  // namespace penstock::duckdb
