#pragma once

#include <vector>

#include "flow/component.h"

namespace penstock::postgres {

/// postgres://host:port and database.schema.table: of the first host that the connection names. Nothing of a query.
Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo& table);

}  // namespace penstock::postgres
