#pragma once

#include <string>
#include <vector>

#include "flow/validation.h"

namespace penstock::check {

/// What checks have said, oldest first, as one page of HTML that needs nothing else: each table with its checks, the newest verdict
/// and those before it.
std::string report_page(const std::vector<flow::ValidationRecord>& records, TimePoint at);

}  // namespace penstock::check
