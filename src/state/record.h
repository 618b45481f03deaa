#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flow/runner.h"
#include "schedule/interval.h"

namespace penstock::state {

/// Why a run is begun: what started it, its window where it has one, and the attempt at an interval that it belongs to.
struct RunCause {
    schedule::Origin origin = schedule::Origin::manual;
    TimePoint window_start{}, window_end{};
    std::string token;
};

/// A run in the history.
struct RunRecord {
    std::string run_id;
    std::string pipeline;
    std::string status;  ///< running, success, failed, skipped or stopped
    TimePoint started_at{};
    std::chrono::duration<double> duration{};  ///< so far, when it is running
    int attempts = 1;
    uint64_t peak_memory_bytes = 0;
    std::vector<flow::TableResult> tables;
    std::optional<Error> error;
    flow::Charge spent;  ///< bills that are still open at their most
    std::optional<TimePoint> deferred_until;
    int64_t pid = 0;
    std::string host;
    std::string origin = "manual";           ///< manual, schedule, backfill or trigger
    TimePoint window_start{}, window_end{};  ///< zero: it has none

    flow::Counts counts() const;  ///< sum over tables
};

/// Tables and errors as the JSON texts of the history, and back. Members a newer version adds are ignored.
std::string to_json(const std::vector<flow::TableResult>& tables);
Result<std::vector<flow::TableResult>> tables_from_json(std::string_view json);
std::string to_json(const Error& error);
Result<Error> error_from_json(std::string_view json);

/// What a run whose process is gone is recorded as.
Error crashed();

}  // namespace penstock::state
