#pragma once

#include <vector>

#include "check/expectation.h"

namespace penstock::check {

/// Expectations as they stand under `checks` of a pipeline.
config::Node write_checks(const std::vector<Expectation>& expectations);

}  // namespace penstock::check
