#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace penstock {

/// Requested when either is.
class EitherStop {
  public:
    EitherStop(std::stop_token one, std::stop_token other)
        : one_(std::move(one), [this] { both_.request_stop(); }),
          other_(std::move(other), [this] { both_.request_stop(); }) {}
    std::stop_token token() const { return both_.get_token(); }

  private:
    std::stop_source both_;
    std::stop_callback<std::function<void()>> one_;
    std::stop_callback<std::function<void()>> other_;
};

/// Requests a stop when time is up.
class Deadline {
  public:
    explicit Deadline(std::optional<std::chrono::microseconds> most) : most_(most) {
        if (!most) return;
        thread_ = std::jthread([this](std::stop_token ended) {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, ended, *most_, [] { return false; });
            if (!ended.stop_requested()) over_.request_stop();
        });
    }
    std::stop_token token() const { return over_.get_token(); }

  private:
    const std::optional<std::chrono::microseconds> most_;
    std::stop_source over_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread thread_;
};

}  // namespace penstock
