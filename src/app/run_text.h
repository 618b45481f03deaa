#pragma once

#include <string>
#include <vector>

#include "flow/runner.h"

namespace penstock::app {

/// What runs did, for people: a row a table, then what needs attention.
std::string runs_text(const std::vector<flow::RunResult>& results);

/// For people; "" of 0.
std::string count_or_blank(int64_t count);

}  // namespace penstock::app
