#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "connect/pubsub/call_status.h"
#include "connect/pubsub/options.h"
#include "connect/pubsub/publisher.h"

namespace grpc {
class ClientContext;
}

namespace penstock::pubsub {

/// The calls of google.pubsub.v1.Publisher that are needed; the only place that knows gRPC. Any thread.
class Client : public Transport {
  public:
    /// Reads the credentials; calls nobody yet. `requests` are on their way at once.
    static Result<std::unique_ptr<Client>> make(const ConnectionOptions& options, size_t requests);
    ~Client() override;

    void publish(const Request& request, Done done) override;
    void cancel() override;

    /// Topics and subscriptions may be hidden from an account that only publishes.
    enum class Seen { there, missing, hidden };
    Result<Seen> look_for_topic(const std::string& topic, const std::stop_token& stop);
    /// Whether any subscription is attached to it.
    Result<Seen> look_for_subscription(const std::string& topic, const std::stop_token& stop);
    /// One that another has created meanwhile is as good.
    Status create_topic(const std::string& topic, std::optional<std::chrono::microseconds> retention,
                        const std::stop_token& stop);
    /// Whether the service answers this account at all, by a look at the project's topics.
    CallStatus probe(const std::string& project, const std::stop_token& stop);

  private:
    struct Stubs;
    struct Call;
    Client(const ConnectionOptions& options);
    template <class Work>
    CallStatus call(const std::stop_token& stop, Work work);
    void end(Call* call, Done done, CallStatus status);

    std::unique_ptr<Stubs> stubs_;
    std::chrono::microseconds timeout_;
    std::mutex mutex_;
    std::set<Call*> calls_;
};

}  // namespace penstock::pubsub
