#pragma once

#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// When `penstock serve` does something that is no run of a pipeline.
struct Times {
    Text schedule;
    Text timezone;
};

/// Of what is also done without a schedule.
const Spec<Times>& times_spec();

}  // namespace penstock::config
