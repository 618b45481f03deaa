#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "connect/pubsub/deliveries.h"
#include "connect/pubsub/subscriber.h"

namespace penstock::pubsub {

/// What the service is told of its deliveries, by two threads: that messages are durable, and that others are still being
/// worked on. An acknowledgement is repeated until the service takes it, or says that it comes too late: then the message will
/// be delivered again, and acknowledged then.
class Answers {
  public:
    /// Leases are at first of `first`, and prolonged to `lease`.
    Answers(Subscriber& subscriber, Deliveries& deliveries, std::chrono::seconds first, std::chrono::seconds lease);

    void start();
    /// Acknowledges what is durable, and gives back the rest, so that others get it at once; tries once.
    void finish();
    /// What keeps acknowledgements from being taken, and another try does not mend.
    std::optional<Error> failure() const;

  private:
    void acknowledge(const std::stop_token& stop);
    bool acknowledge(const std::vector<Deliveries::Answer>& answers);
    void prolong(const std::stop_token& stop);
    bool prolong(const std::vector<Deliveries::Answer>& answers, std::chrono::seconds lease);
    void tell_refused(size_t count, const std::string& why);

    Subscriber& subscriber_;
    Deliveries& deliveries_;
    const std::chrono::seconds first_, lease_;
    mutable std::mutex mutex_;
    std::optional<Error> failure_;
    std::chrono::steady_clock::time_point told_refused_{};
    std::jthread acknowledging_, prolonging_;
};

}  // namespace penstock::pubsub
