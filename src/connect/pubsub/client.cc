#include "connect/pubsub/client.h"

#include <google/pubsub/v1/pubsub.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "connect/pubsub/channel.h"

namespace penstock::pubsub {
namespace {

namespace api = google::pubsub::v1;

/// Google's front ends take a hundred calls at once on one connection.
constexpr size_t requests_a_connection = 100;
constexpr size_t most_connections = 10;

}  // namespace

struct Client::Stubs {
    std::vector<std::unique_ptr<api::Publisher::Stub>> all;
    std::atomic<size_t> next = 0;

    api::Publisher::Stub& any() { return *all[next++ % all.size()]; }
};

struct Client::Call {
    grpc::ClientContext context;
    api::PublishResponse response;
};

Client::Client(const ConnectionOptions& options) : stubs_(std::make_unique<Stubs>()), timeout_(options.timeout) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::make(const ConnectionOptions& options, size_t requests) {
    PN_TRY(auto open, channel_opener(options));
    std::unique_ptr<Client> client(new Client(options));
    size_t connections =
        std::clamp<size_t>((requests + requests_a_connection - 1) / requests_a_connection, 1, most_connections);
    for (size_t i = 0; i < connections; ++i) client->stubs_->all.push_back(api::Publisher::NewStub(open()));
    return client;
}

void Client::publish(const Request& request, Done done) {
    auto* call = new Call;
    call->context.set_deadline(std::chrono::system_clock::now() + timeout_);
    {
        std::lock_guard lock(mutex_);
        calls_.insert(call);
    }
    stubs_->any().async()->Publish(
        &call->context, &request, &call->response,
        [this, call, done = std::move(done), wanted = request.messages_size()](const grpc::Status& status) mutable {
            auto answer = from_grpc(status);
            if (answer.ok() && call->response.message_ids_size() != wanted)
                answer = {.code = Code::unknown, .message = "not every message got an id"};
            end(call, std::move(done), std::move(answer));
        });
}

/// `done` comes last: whoever waits for it may take this apart at once.
void Client::end(Call* call, Done done, CallStatus status) {
    {
        std::lock_guard lock(mutex_);
        calls_.erase(call);
    }
    delete call;
    done(std::move(status));
}

void Client::cancel() {
    std::lock_guard lock(mutex_);
    for (auto* call : calls_) call->context.TryCancel();
}

/// A call that is waited for.
template <class Work>
CallStatus Client::call(const std::stop_token& stop, Work work) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::min<std::chrono::microseconds>(timeout_, std::chrono::seconds(20)));
    std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    return from_grpc(work(context));
}

Result<Client::Seen> Client::look_for_topic(const std::string& topic, const std::stop_token& stop) {
    api::GetTopicRequest request;
    request.set_topic(topic);
    api::Topic found;
    auto status = call(stop, [&](auto& context) { return stubs_->any().GetTopic(&context, request, &found); });
    if (status.ok()) return Seen::there;
    if (status.code == Code::not_found) return Seen::missing;
    if (status.code == Code::permission_denied) return Seen::hidden;
    return fail(call_error(status, "look for " + topic));
}

Result<Client::Seen> Client::look_for_subscription(const std::string& topic, const std::stop_token& stop) {
    api::ListTopicSubscriptionsRequest request;
    request.set_topic(topic);
    request.set_page_size(1);
    api::ListTopicSubscriptionsResponse found;
    auto status =
        call(stop, [&](auto& context) { return stubs_->any().ListTopicSubscriptions(&context, request, &found); });
    if (status.ok()) return found.subscriptions_size() > 0 ? Seen::there : Seen::missing;
    if (status.code == Code::permission_denied) return Seen::hidden;
    return fail(call_error(status, "look for subscriptions of " + topic));
}

Status Client::create_topic(const std::string& topic, std::optional<std::chrono::microseconds> retention,
                            const std::stop_token& stop) {
    api::Topic wanted, made;
    wanted.set_name(topic);
    if (retention)
        wanted.mutable_message_retention_duration()->set_seconds(
            std::chrono::duration_cast<std::chrono::seconds>(*retention).count());
    auto status = call(stop, [&](auto& context) { return stubs_->any().CreateTopic(&context, wanted, &made); });
    if (status.ok() || status.code == Code::already_exists) return {};
    return fail(call_error(status, "create " + topic));
}

CallStatus Client::probe(const std::string& project, const std::stop_token& stop) {
    api::ListTopicsRequest request;
    request.set_project("projects/" + project);
    request.set_page_size(1);
    api::ListTopicsResponse found;
    return call(stop, [&](auto& context) { return stubs_->any().ListTopics(&context, request, &found); });
}

}  // namespace penstock::pubsub
