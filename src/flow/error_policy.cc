#include "flow/error_policy.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace penstock::flow {

bool worth_retrying(const Error& error) {
    switch (error.kind) {
        case ErrorKind::unavailable: return true;
        case ErrorKind::conflict: return true;  // whoever holds it may let go meanwhile
        case ErrorKind::usage:
        case ErrorKind::configuration:
        case ErrorKind::data:
        case ErrorKind::schema:
        case ErrorKind::refused:
        case ErrorKind::capacity:
        case ErrorKind::check_failed:
        case ErrorKind::budget:
        case ErrorKind::interrupted:
        case ErrorKind::internal: return false;
    }
    std::unreachable();
}

std::chrono::microseconds retry_delay(const RetryPolicy& policy, int attempt, double random) {
    constexpr double longest = 3600e6;  // an hour: backoff^attempt must not overflow
    double micros = static_cast<double>(policy.delay.count()) * std::pow(std::max(policy.backoff, 1.0), attempt - 1);
    micros = std::min(micros, longest);
    if (policy.jitter) micros *= 0.5 + random;
    return std::chrono::microseconds(static_cast<int64_t>(micros));
}

}  // namespace penstock::flow
