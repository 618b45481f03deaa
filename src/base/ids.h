#pragma once

#include <string>

namespace penstock {

/// A run's name: start time and 48 random bits, sortable and safe in SQL names and paths: 20261121t063333_9f3a01bc77de.
std::string new_run_id();

}  // namespace penstock
