#pragma once

#include <string>

#include "app/telemetry/settings.h"
#include "base/clock.h"
#include "config/document.h"

namespace penstock::app::telemetry {

/// What GET /metrics says, with the same names, labels and values, as an ExportMetricsServiceRequest. Counters go on from one
/// process to the next, because they are in the state.
Result<std::string> metrics_request(const config::Document& document, const Settings& settings, TimePoint at);

}  // namespace penstock::app::telemetry
