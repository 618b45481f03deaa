#pragma once

#include <google/pubsub/v1/pubsub.pb.h>

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/pubsub/call_status.h"

namespace penstock::pubsub {

using Received = google::pubsub::v1::ReceivedMessage;
using ReceivedList = google::protobuf::RepeatedPtrField<Received>;

/// Pub/Sub's page "Quotas and limits": a request to acknowledge or to prolong has at most 512 KB; ids to acknowledge by take
/// about 200 bytes.
inline constexpr size_t most_answer_bytes = 500'000;
inline constexpr size_t most_answer_ids = 2500;

/// What the service says of a subscription.
struct SubscriptionFacts {
    std::string topic;
    std::chrono::seconds ack_deadline{10};
    std::chrono::seconds retention{0};
    bool exactly_once = false;
    bool ordered = false;
    bool detached = false;
    bool pushes = false;  ///< it delivers by itself, and cannot be pulled
    std::string filter;
    std::string dead_letter_topic;  ///< "" none
    int dead_letter_attempts = 0;
};

/// The answer to a request about several messages. Of a subscription with exactly-once delivery the service says which of
/// them failed, by its words: TRANSIENT_FAILURE_…, PERMANENT_FAILURE_INVALID_ACK_ID.
struct AnswerStatus {
    CallStatus status;
    std::map<std::string, std::string> failed = {};  ///< by the id to acknowledge by
};

struct StreamStart {
    std::chrono::seconds lease;
    int64_t outstanding_messages;
    int64_t outstanding_bytes;
    std::string client_id;  ///< the same for each stream of one reader, so that what it is given stays with it
};

/// The calls about one subscription. Any thread.
class Subscriber {
  public:
    virtual ~Subscriber() = default;
    virtual Result<SubscriptionFacts> look(const std::stop_token& stop) = 0;
    /// Hands over what comes until the stream breaks, which it does every now and then by the service's own will. While `take`
    /// works nothing is read from the connection.
    virtual CallStatus stream(const StreamStart& start, const std::function<void(ReceivedList&)>& take,
                              const std::stop_token& stop) = 0;
    /// Waits for messages for as long as the service sees fit; there may be none.
    virtual CallStatus pull(int most, ReceivedList& received, const std::stop_token& stop) = 0;
    virtual AnswerStatus acknowledge(const std::vector<std::string>& ack_ids, const std::stop_token& stop) = 0;
    /// From now on; 0 gives them back.
    virtual AnswerStatus prolong(const std::vector<std::string>& ack_ids, std::chrono::seconds lease,
                                 const std::stop_token& stop) = 0;
};

}  // namespace penstock::pubsub
