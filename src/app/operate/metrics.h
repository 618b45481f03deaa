#pragma once

#include <string>

#include "base/clock.h"
#include "config/document.h"

namespace penstock::app {

/// What GET /metrics answers: docs/how-to/operate.md has the names. All of it is in the state, so that every server of a project answers
/// the same, and runs count whatever began them; one statement, whose cost grows with pipelines and tables and not with runs.
Result<std::string> metrics_text(const config::Document& document, TimePoint now);

}  // namespace penstock::app
