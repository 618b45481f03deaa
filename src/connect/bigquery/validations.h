#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "connect/bigquery/client.h"
#include "connect/bigquery/jobs.h"
#include "flow/validation.h"

namespace penstock::bigquery {

/// Makes the table validation_results beside the other bookkeeping, where it is missing.
Status make_validations_table(Client& client);

/// The statement that adds them, without its semicolon.
std::string add_validations(Client& client, std::span<const flow::ValidationRecord> records);

/// Oldest first; "" is every pipeline, every run. Copes with the table's absence.
Result<std::vector<flow::ValidationRecord>> kept_validations(Client& client, Jobs& jobs, std::string_view pipeline,
                                                             std::string_view run_id);

/// A table to be asked by query jobs; client and jobs must outlive the answer. Nothing where it is not there.
Result<std::optional<flow::AskedTable>> asked_table(Client& client, Jobs& jobs, const std::string& name);

}  // namespace penstock::bigquery
