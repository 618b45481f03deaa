#include "connect/pubsub/subscriber_client.h"

#include <google/pubsub/v1/pubsub.grpc.pb.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "connect/pubsub/channel.h"

namespace penstock::pubsub {
namespace {

namespace api = google::pubsub::v1;
using namespace std::chrono_literals;

/// Google's clients send as much, so that nothing between them and the service takes a quiet stream for a dead one.
constexpr auto between_signs_of_life = 30s;
/// These calls are short, and whoever stops waits for them.
constexpr auto longest_answer = 10s;

using PullStream = grpc::ClientReaderWriter<api::StreamingPullRequest, api::StreamingPullResponse>;

/// Says now and then that a stream is still wanted, while it lives.
class SignsOfLife {
  public:
    explicit SignsOfLife(PullStream& stream)
        : thread_([this, &stream](const std::stop_token& stop) {
              std::unique_lock lock(mutex_);
              while (!stop.stop_requested()) {
                  if (changed_.wait_for(lock, stop, between_signs_of_life, [] { return false; })) return;
                  if (!stop.stop_requested() && !stream.Write({})) return;
              }
          }) {}

  private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::jthread thread_;
};

template <class Work>
grpc::Status call(std::chrono::microseconds timeout, const std::stop_token& stop, Work work) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    return work(context);
}

/// What the service says beside a status of single ids of a request: google.rpc.ErrorInfo's metadata.
AnswerStatus with_failed(const grpc::Status& status) {
    AnswerStatus answer{.status = from_grpc(status)};
    google::rpc::Status details;
    if (status.ok() || !details.ParseFromString(status.error_details())) return answer;
    for (const auto& detail : details.details()) {
        google::rpc::ErrorInfo info;
        if (!detail.UnpackTo(&info)) continue;
        for (const auto& [ack_id, word] : info.metadata()) answer.failed.emplace(ack_id, word);
    }
    return answer;
}

SubscriptionFacts facts_of(const api::Subscription& found) {
    return {.topic = found.topic(),
            .ack_deadline = std::chrono::seconds(found.ack_deadline_seconds()),
            .retention = std::chrono::seconds(found.message_retention_duration().seconds()),
            .exactly_once = found.enable_exactly_once_delivery(),
            .ordered = found.enable_message_ordering(),
            .detached = found.detached(),
            .pushes = !found.push_config().push_endpoint().empty() || found.has_bigquery_config() ||
                      found.has_cloud_storage_config(),
            .filter = found.filter(),
            .dead_letter_topic = found.dead_letter_policy().dead_letter_topic(),
            .dead_letter_attempts = found.dead_letter_policy().max_delivery_attempts()};
}

}  // namespace

struct SubscriberClient::Stub {
    std::unique_ptr<api::Subscriber::Stub> pulling;  ///< a connection of its own: bulk does not hold up answers
    std::unique_ptr<api::Subscriber::Stub> answering;
};

SubscriberClient::SubscriberClient(const ConnectionOptions& options, std::string subscription)
    : subscription_(std::move(subscription)), timeout_(options.timeout), stub_(std::make_unique<Stub>()) {}
SubscriberClient::~SubscriberClient() = default;

Result<std::unique_ptr<SubscriberClient>> SubscriberClient::make(const ConnectionOptions& options,
                                                                 std::string subscription) {
    PN_TRY(auto open, channel_opener(options));
    std::unique_ptr<SubscriberClient> client(new SubscriberClient(options, std::move(subscription)));
    client->stub_->pulling = api::Subscriber::NewStub(open());
    client->stub_->answering = api::Subscriber::NewStub(open());
    return client;
}

Result<SubscriptionFacts> SubscriberClient::look(const std::stop_token& stop) {
    api::GetSubscriptionRequest request;
    request.set_subscription(subscription_);
    api::Subscription found;
    auto status = from_grpc(call(std::min<std::chrono::microseconds>(timeout_, 20s), stop, [&](auto& context) {
        return stub_->answering->GetSubscription(&context, request, &found);
    }));
    if (!status.ok()) return fail(call_error(status, "look at " + subscription_));
    return facts_of(found);
}

CallStatus SubscriberClient::stream(const StreamStart& start, const std::function<void(ReceivedList&)>& take,
                                    const std::stop_token& stop) {
    grpc::ClientContext context;
    std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    auto stream = stub_->pulling->StreamingPull(&context);
    api::StreamingPullRequest request;
    request.set_subscription(subscription_);
    request.set_stream_ack_deadline_seconds(static_cast<int>(start.lease.count()));
    request.set_client_id(start.client_id);
    request.set_max_outstanding_messages(start.outstanding_messages);
    request.set_max_outstanding_bytes(start.outstanding_bytes);
    if (stream->Write(request)) {
        SignsOfLife life(*stream);
        api::StreamingPullResponse response;
        while (stream->Read(&response)) take(*response.mutable_received_messages());
    }
    return from_grpc(stream->Finish());
}

CallStatus SubscriberClient::pull(int most, ReceivedList& received, const std::stop_token& stop) {
    api::PullRequest request;
    request.set_subscription(subscription_);
    request.set_max_messages(most);
    api::PullResponse response;
    auto status = from_grpc(
        call(timeout_, stop, [&](auto& context) { return stub_->pulling->Pull(&context, request, &response); }));
    received.Swap(response.mutable_received_messages());
    return status;
}

AnswerStatus SubscriberClient::acknowledge(const std::vector<std::string>& ack_ids, const std::stop_token& stop) {
    api::AcknowledgeRequest request;
    request.set_subscription(subscription_);
    for (const auto& id : ack_ids) request.add_ack_ids(id);
    google::protobuf::Empty nothing;
    return with_failed(call(std::min<std::chrono::microseconds>(timeout_, longest_answer), stop,
                            [&](auto& context) { return stub_->answering->Acknowledge(&context, request, &nothing); }));
}

AnswerStatus SubscriberClient::prolong(const std::vector<std::string>& ack_ids, std::chrono::seconds lease,
                                       const std::stop_token& stop) {
    api::ModifyAckDeadlineRequest request;
    request.set_subscription(subscription_);
    request.set_ack_deadline_seconds(static_cast<int>(lease.count()));
    for (const auto& id : ack_ids) request.add_ack_ids(id);
    google::protobuf::Empty nothing;
    return with_failed(call(std::min<std::chrono::microseconds>(timeout_, longest_answer), stop, [&](auto& context) {
        return stub_->answering->ModifyAckDeadline(&context, request, &nothing);
    }));
}

}  // namespace penstock::pubsub
