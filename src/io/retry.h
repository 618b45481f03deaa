#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/error.h"
#include "io/http.h"

namespace penstock::io {

struct RetrySettings {
    std::chrono::milliseconds first_delay = std::chrono::milliseconds(500);
    std::chrono::milliseconds longest_delay = std::chrono::seconds(32);
    std::chrono::milliseconds deadline =
        std::chrono::minutes(5);  ///< from the first attempt on; no attempt begins later
};

/// How long to wait before attempt n + 1: anything between nothing and the delay doubled n times (full jitter), `random` being
/// a number from 0 to 1, but never less than what the server asked for.
std::chrono::milliseconds backoff(const RetrySettings& settings, int attempt, double random,
                                  std::chrono::milliseconds asked = {});

/// A number from 0 to 1, for backoff().
double random_share();

/// How long a `Retry-After` header asks to wait, in seconds or up to a date by the server's clock; 0 where there is none.
std::chrono::milliseconds retry_after(const Response& response, std::chrono::seconds most);
/// The same, 10 minutes at most.
std::chrono::milliseconds retry_after(const Response& response);

/// False when the wait was cut short.
bool wait_for(std::chrono::milliseconds delay, const std::stop_token& stop);

/// What one attempt came to.
struct Attempted {
    Result<Response> response;
    bool again = false;                    ///< worth another attempt
    std::chrono::milliseconds asked = {};  ///< by the server: not before then
};

/// Attempts until one is not worth repeating, or the deadline has passed: the last one's outcome.
Result<Response> with_retries(const RetrySettings& settings, const std::stop_token& stop,
                              const std::function<Attempted(int attempt)>& attempt);

}  // namespace penstock::io
