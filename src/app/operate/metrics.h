#pragma once

#include <string>

#include "app/operate/metrics_writer.h"
#include "base/clock.h"
#include "config/document.h"

namespace penstock::app {

/// What GET /metrics answers: docs/how-to/operate.md has the names. All of it is in the state, so that every server of a project answers
/// the same, and runs count whatever began them; one statement, whose cost grows with pipelines and tables and not with runs.
Result<std::string> metrics_text(const config::Document& document, TimePoint now);

/// The same in another form.
Status write_metrics(const config::Document& document, TimePoint now, MetricsWriter& into);

}  // namespace penstock::app
