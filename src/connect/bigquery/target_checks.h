#pragma once

#include "base/error.h"
#include "connect/bigquery/target_table.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// What can be told of a target from the source's table alone: columns that its options name, the key of its mode.
Status check_target(const flow::TableTarget& target);

/// A table that is there must have the columns that a history keeps.
Status check_history(const flow::TableTarget& target, const TargetTable& found);

}  // namespace penstock::bigquery
