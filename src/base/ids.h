#pragma once

#include <string>

namespace penstock {

/// A run's name: start time to the microsecond (five digits behind the second) and 28 random bits, sortable and safe in SQL
/// names and paths: 20261121t063333_9f3a01bc77de.
std::string new_run_id();

}  // namespace penstock
