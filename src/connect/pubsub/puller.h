#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "connect/pubsub/deliveries.h"
#include "connect/pubsub/subscriber.h"

namespace penstock::pubsub {

struct PullOptions {
    bool streaming = true;
    std::chrono::seconds lease{60};         ///< of what comes by a stream
    std::chrono::seconds ack_deadline{10};  ///< of what comes by single pulls: the subscription's own
    int64_t outstanding_messages = 100'000;
    int64_t outstanding_bytes = 128 << 20;
    std::string client_id;
    std::chrono::microseconds retry_for = std::chrono::minutes(10);
    std::chrono::microseconds first_delay = std::chrono::milliseconds(100);
    std::chrono::microseconds longest_delay = std::chrono::seconds(30);
};

/// A thread that fetches what a subscription has, for Deliveries. It comes back whenever the connection breaks, later each time
/// that brings nothing; what was taken before stays taken.
class Puller {
  public:
    using Clock = std::chrono::steady_clock;
    Puller(Subscriber& subscriber, Deliveries& deliveries, PullOptions options)
        : subscriber_(subscriber), deliveries_(deliveries), options_(std::move(options)) {}

    void start();
    /// Returns when the thread has ended.
    void stop();
    /// What another try does not mend, or none has for `retry_for`.
    std::optional<Error> failure() const;
    /// Since when the service has been in reach, as far as is known; nothing while it is not.
    std::optional<Clock::time_point> in_reach_since() const;

  private:
    void run(const std::stop_token& stop);
    CallStatus fetch(const std::stop_token& stop);
    void wait(std::chrono::microseconds delay, const std::stop_token& stop) const;
    bool give_up(const CallStatus& status, Clock::time_point failing_since);
    CallStatus come_back(const std::stop_token& stop);
    uint64_t came() const;

    Subscriber& subscriber_;
    Deliveries& deliveries_;
    const PullOptions options_;
    mutable std::mutex mutex_;
    std::optional<Error> failure_;
    std::optional<Clock::time_point> in_reach_since_ = Clock::now();
    std::jthread thread_;
};

}  // namespace penstock::pubsub
