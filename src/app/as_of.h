#pragma once

#include <string>
#include <vector>

#include "app/pipeline.h"

namespace penstock::app {

/// `--as-of TIME` for all of them; nothing where it is "".
Status travel(std::vector<Pipeline>& pipelines, const std::string& as_of);

/// "2026-11-20", "2026-11-20T12:00:00.5Z", "2026-11-20 12:00+01:00"; without offset it is UTC.
Result<TimePoint> parse_moment(const std::string& text);

}  // namespace penstock::app
