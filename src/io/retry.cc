#include "io/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <random>

#include "base/log.h"

namespace penstock::io {
namespace {}  // namespace

double random_share() {
    thread_local std::mt19937_64 engine{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(engine);
}

std::chrono::milliseconds backoff(const RetrySettings& settings, int attempt, double random,
                                  std::chrono::milliseconds asked) {
    double most = static_cast<double>(settings.first_delay.count()) * std::pow(2.0, std::clamp(attempt - 1, 0, 30));
    most = std::min(most, static_cast<double>(settings.longest_delay.count()));
    return std::max(asked, std::chrono::milliseconds(static_cast<int64_t>(most * random)));
}

std::chrono::milliseconds retry_after(const Response& response, std::chrono::seconds most) {
    auto text = response.header("retry-after");
    if (text.empty()) return {};
    char* end = nullptr;
    long seconds = std::strtol(text.c_str(), &end, 10);
    if (*end != 0) {
        auto then = curl_getdate(text.c_str(), nullptr), now = curl_getdate(response.header("date").c_str(), nullptr);
        if (then < 0) return {};
        seconds = then - (now < 0 ? std::time(nullptr) : now);
    }
    return std::clamp(std::chrono::seconds(seconds), std::chrono::seconds(0), most);
}

std::chrono::milliseconds retry_after(const Response& response) {
    return retry_after(response, std::chrono::minutes(10));
}

bool wait_for(std::chrono::milliseconds delay, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, delay, [] { return false; });
    return !stop.stop_requested();
}

Result<Response> with_retries(const RetrySettings& settings, const std::stop_token& stop,
                              const std::function<Attempted(int attempt)>& attempt) {
    using Clock = std::chrono::steady_clock;
    auto deadline = Clock::now() + settings.deadline;
    for (int number = 1;; ++number) {
        auto tried = attempt(number);
        if (!tried.again) return std::move(tried.response);
        auto delay = backoff(settings, number, random_share(), tried.asked);
        if (Clock::now() + delay >= deadline) return std::move(tried.response);
        log::debug("attempt {} failed ({}), the next one is in {} ms", number,
                   tried.response ? std::to_string(tried.response->status) : tried.response.error().message,
                   delay.count());
        if (!wait_for(delay, stop))
            return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the request was stopped"});
    }
}

}  // namespace penstock::io
