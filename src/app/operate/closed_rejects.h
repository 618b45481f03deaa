#pragma once

#include <string>

#include "config/document.h"

namespace penstock::app {

/// So many rejects of a pipeline are not open any more, for metrics. Says so in the log where the state cannot be told: nothing
/// is lost by it, and `penstock status` counts again.
void take_from_measures(const config::Document& document, const std::string& pipeline, int64_t closed);

}  // namespace penstock::app
