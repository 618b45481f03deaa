#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/pipeline.h"
#include "flow/runner.h"
#include "state/record.h"
#include "state/store.h"

namespace penstock::app {

/// What is known of one run while it goes on and when it has ended, for those outside who are told of it. Times are of the wall
/// clock.
struct RunStory {
    struct Table {
        flow::TableTarget target;
        flow::TablePlan plan;
        TimePoint began{}, ended{};  ///< zero: not yet
    };
    struct Retry {
        TimePoint at{};
        std::string code, message;
        int attempt = 0;
    };

    const Pipeline& pipeline;
    flow::RunIdentity identity;
    state::RunCause cause;
    TimePoint began{}, planned{}, ended{};
    std::vector<Table> tables;
    std::vector<Retry> retries;
};

}  // namespace penstock::app
