#pragma once

#include <string>

#include "app/operate/run_story.h"
#include "app/telemetry/settings.h"

namespace penstock::app::telemetry {

/// A run as one trace, an ExportTraceServiceRequest: the run, its plan and the load of each table as spans; retries and checks as
/// events of theirs. Below the span that TRACEPARENT names (W3C Trace Context), else by itself. "" where whoever called does not
/// sample.
std::string trace_request(const RunStory& story, const flow::RunResult& result, const Settings& settings);

}  // namespace penstock::app::telemetry
