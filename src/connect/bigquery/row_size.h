#pragma once

#include <optional>
#include <string>

#include "connect/bigquery/schema_change.h"
#include "connect/bigquery/staged_values.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// A row that is larger than one request of the Storage Write API may be; nothing where no row can be.
std::optional<Fault> row_size_fault(const flow::TableTarget& target, const Shape& shape, int64_t most_bytes);

}  // namespace penstock::bigquery
