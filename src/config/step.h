#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// A program that reads rows as an Arrow stream on its standard input and writes rows as one on its standard output.
struct ProgramStep {
    std::vector<std::string> command;
    std::chrono::microseconds timeout = std::chrono::minutes(5);
};

/// One entry of `steps`: what happens to rows between source and target.
struct Step {
    Text sql;
    std::optional<ProgramStep> program;
    Text drops;  ///< the name of the rule by which it leaves rows out; "" when it may not
};

const Spec<Step>& step_spec();

}  // namespace penstock::config
