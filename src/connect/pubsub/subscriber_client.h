#pragma once

#include <memory>

#include "connect/pubsub/options.h"
#include "connect/pubsub/subscriber.h"

namespace penstock::pubsub {

/// The calls of google.pubsub.v1.Subscriber about one subscription, by gRPC.
class SubscriberClient : public Subscriber {
  public:
    /// `subscription` in full: projects/p/subscriptions/s.
    static Result<std::unique_ptr<SubscriberClient>> make(const ConnectionOptions& options, std::string subscription);
    ~SubscriberClient() override;

    Result<SubscriptionFacts> look(const std::stop_token& stop) override;
    CallStatus stream(const StreamStart& start, const std::function<void(ReceivedList&)>& take,
                      const std::stop_token& stop) override;
    CallStatus pull(int most, ReceivedList& received, const std::stop_token& stop) override;
    AnswerStatus acknowledge(const std::vector<std::string>& ack_ids, const std::stop_token& stop) override;
    AnswerStatus prolong(const std::vector<std::string>& ack_ids, std::chrono::seconds lease,
                         const std::stop_token& stop) override;

  private:
    struct Stub;
    SubscriberClient(const ConnectionOptions& options, std::string subscription);

    std::string subscription_;
    std::chrono::microseconds timeout_;
    std::unique_ptr<Stub> stub_;
};

}  // namespace penstock::pubsub
