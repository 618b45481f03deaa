#pragma once

#include <algorithm>
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

        bool is(const std::string& source, const std::string& name) const {
            return target.info.name == source && target.name == name;
        }
        /// What it has come to; null where the run has no result of it.
        const flow::TableResult* result_in(const flow::RunResult& result) const {
            auto found =
                std::ranges::find_if(result.tables, [&](const auto& one) { return is(one.source, one.target); });
            return found == result.tables.end() ? nullptr : &*found;
        }
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
