#pragma once

#include <chrono>

#include "base/error.h"

namespace penstock::flow {

/// How often and how patiently a run is tried again.
struct RetryPolicy {
    int max = 3;  ///< tries in a row without progress, after the first
    std::chrono::microseconds delay = std::chrono::seconds(5);
    double backoff = 2;
    bool jitter = true;  ///< spreads each delay over [50 %, 150 %]
};

/// Whether another try can mend it: a switch over every kind.
bool worth_retrying(const Error& error);

/// The pause before try number `attempt` (1 is the first retry); `random` in [0, 1) decides the jitter.
std::chrono::microseconds retry_delay(const RetryPolicy& policy, int attempt, double random);

}  // namespace penstock::flow
