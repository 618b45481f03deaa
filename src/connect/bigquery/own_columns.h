#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "connect/bigquery/types.h"
#include "flow/change.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// Columns that Penstock keeps in a target beside the source's, in their order behind these.
std::vector<Column> own_columns(const flow::TableTarget& target);
bool is_own_column(const flow::TableTarget& target, std::string_view name);

/// What rows of a target of changes stand for rows of the source: all, those not deleted, or current versions.
std::string alive(const flow::TableTarget& target, std::string_view prefix);

}  // namespace penstock::bigquery
