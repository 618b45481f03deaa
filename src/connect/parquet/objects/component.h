#pragma once

#include <memory>

#include "flow/component.h"

namespace penstock::parquet {

/// Files and objects as a source: of rows, or with `route` of events.
bool is_event_source(const flow::BuildContext& context);
Status validate_source(const flow::BuildContext& context);
Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context);

}  // namespace penstock::parquet
