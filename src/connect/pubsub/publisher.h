#pragma once

#include <google/pubsub/v1/pubsub.pb.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/pubsub/call_status.h"

namespace penstock::pubsub {

using Message = google::pubsub::v1::PubsubMessage;
using Request = google::pubsub::v1::PublishRequest;

/// Pub/Sub's page "Quotas and limits": a publish request has at most 1,000 messages and 10 MB, and so has one message.
inline constexpr size_t most_request_messages = 1000;
inline constexpr size_t most_request_bytes = 10'000'000;

/// Carries requests to the service, any number at once. Any thread.
class Transport {
  public:
    using Done = std::function<void(CallStatus)>;
    virtual ~Transport() = default;
    /// `done` is called once, on any thread, perhaps before this returns; the request stays as it is until then.
    virtual void publish(const Request& request, Done done) = 0;
    /// What is under way ends soon, with CANCELLED where it has not ended otherwise.
    virtual void cancel() = 0;
};

struct PublisherLimits {
    size_t request_messages = most_request_messages;
    size_t request_bytes = size_t{1} << 20;
    std::chrono::microseconds latency = std::chrono::milliseconds(10);  ///< before a request is sent that is not full
    size_t requests = 200;                                              ///< on their way at once
    size_t held_bytes = size_t{64} << 20;                               ///< accepted and not acknowledged
    std::chrono::microseconds retry_for = std::chrono::minutes(10);     ///< of one request, since its first failure
    std::chrono::microseconds first_delay = std::chrono::milliseconds(100);
    std::chrono::microseconds longest_delay = std::chrono::seconds(60);
};

/// Puts messages together into requests and sees them acknowledged:
///
///     publish --> lane of (topic, ordering key) --> requests, by count, bytes and age --> on their way --> gone
///                                                        ^------- put off after a failure worth repeating ---'
///
/// A lane with an ordering key has one request on its way at a time, and the next leaves when that one is acknowledged: a
/// failure makes the lane wait and is never overtaken. Lanes without key have any number. All messages of a request have one
/// key, as the service demands. One thread calls; answers come on threads of the transport.
class Publisher {
  public:
    Publisher(Transport& transport, PublisherLimits limits) : transport_(transport), limits_(limits) {}
    /// Waits for what is on its way, cancelled.
    ~Publisher() { abort(); }
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    /// Accepts a message that fits (fits()). Waits while too much is held. Fails with the first failure that another try
    /// cannot mend; then only abort() is left.
    Status publish(const std::string& topic, Message message, const std::stop_token& stop);
    /// Returns when the server has acknowledged all that was accepted.
    Status flush(const std::stop_token& stop);
    /// Forgets all that was not acknowledged. The service may have taken some of it.
    void abort() noexcept;

    /// Whether the message fits into a request to this topic; its size there.
    static bool fits(const std::string& topic, const Message& message, size_t& bytes);

  private:
    using Clock = std::chrono::steady_clock;

    struct Lane;
    struct Batch {
        Request request;
        size_t bytes = 0;
        Clock::time_point opened;
        std::shared_ptr<Lane> lane;  ///< once it was sent: before, the lane owns the batch
        int failures = 0;
        Clock::time_point first_failure;
    };
    struct Lane {
        std::string topic, key;
        std::unique_ptr<Batch> open;
        std::deque<std::unique_ptr<Batch>> closed;
        bool busy = false;    ///< has its one request on its way, or put off
        bool listed = false;  ///< is in `ready_`
    };
    using Lock = std::unique_lock<std::mutex>;

    std::shared_ptr<Lane> lane_of(const std::string& topic, const std::string& key);
    void add(const std::shared_ptr<Lane>& lane, Message message, size_t bytes);
    void close(const std::shared_ptr<Lane>& lane);
    void close_aged(bool all);
    void list(const std::shared_ptr<Lane>& lane);
    void send_what_may_go(Lock& lock);
    void send(std::unique_ptr<Batch> batch, Lock& lock);
    void answered(Batch* batch, CallStatus status);
    void put_off(std::unique_ptr<Batch> batch, const CallStatus& status);
    void acknowledged(std::unique_ptr<Batch> batch);
    Status wait(Lock& lock, const std::stop_token& stop);

    Transport& transport_;
    const PublisherLimits limits_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::pair<std::string, std::string>, std::shared_ptr<Lane>> lanes_;
    std::deque<std::pair<Clock::time_point, std::weak_ptr<Lane>>> opened_;  ///< by age
    std::deque<std::shared_ptr<Lane>> ready_;
    std::multimap<Clock::time_point, std::unique_ptr<Batch>> put_off_;
    std::map<Batch*, std::unique_ptr<Batch>> on_their_way_;
    size_t held_bytes_ = 0;
    bool aborting_ = false;
    bool warned_ = false;
    std::optional<Error> error_;
};

}  // namespace penstock::pubsub
