#pragma once

#include "base/error.h"
#include "connect/bigquery/target_table.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// A table that is there must have the columns that a history keeps.
Status check_history(const flow::TableTarget& target, const TargetTable& found);

}  // namespace penstock::bigquery
