#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "connect/pubsub/answers.h"
#include "connect/pubsub/deliveries.h"
#include "connect/pubsub/puller.h"
#include "connect/pubsub/subscriber.h"
#include "flow/messages.h"
#include "flow/shared_messages.h"

namespace penstock::pubsub {

struct StreamOptions {
    std::string subscription;  ///< projects/p/subscriptions/s
    bool streaming = true;
    std::chrono::microseconds idle = std::chrono::seconds(3);
    std::chrono::seconds lease{60};
    std::chrono::microseconds retry_for = std::chrono::minutes(10);
    std::chrono::microseconds first_delay = std::chrono::milliseconds(100);  ///< before a broken stream is opened again
    DeliveryLimits limits;
};

/// The messages of a subscription. A message is kept from others (its lease is prolonged) until it is confirmed, and then
/// acknowledged; a subscription has no offsets, so that a position is the ids of what is durable (stream_position.h):
///
///     Puller --> Deliveries --receive--> a target
///     Answers <-----'  '<----confirm-----'
///
/// A process that is killed between a commit and its acknowledgement gets the messages again, recognises and acknowledges
/// them. As long as it remembers them, each message is given out once. Of several processes each remembers what all have committed.
class SubscriptionStream : public flow::MessageStream, public flow::SharedMessages {
  public:
    SubscriptionStream(std::unique_ptr<Subscriber> subscriber, StreamOptions options);
    /// Gives back what was not confirmed.
    ~SubscriptionStream() override;

    Result<int64_t> connect(std::stop_token stop) override;
    Status begin(const std::optional<std::string>& position) override;
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override;
    /// A subscription has no end: nothing has come for `idle`, and all that was confirmed is acknowledged.
    bool drained() const override;
    std::string position() override;
    Status confirm(const std::string& position) override;

    void share(Newest) override {}
    Result<std::string> merge(const std::optional<std::string>& newest) override;

    Deliveries::Counts counts() const { return deliveries_.counts(); }

  private:
    Result<SubscriptionFacts> look();

    std::unique_ptr<Subscriber> subscriber_;
    StreamOptions options_;
    std::stop_token stop_;
    SubscriptionFacts facts_;
    Deliveries deliveries_;
    std::unique_ptr<Puller> puller_;
    std::unique_ptr<Answers> answers_;
};

}  // namespace penstock::pubsub
