#include "connect/pubsub/channel.h"

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include "base/log.h"
#include "base/version.h"
#include "connect/pubsub/credentials.h"

namespace penstock::pubsub {
namespace {

/// gRPC's own lines; what matters to a user is in the statuses of calls.
void log_line(gpr_log_func_args* line) { log::debug("gRPC: {}", line->message); }

std::shared_ptr<grpc::Channel> channel_to(const Endpoint& endpoint,
                                          const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetUserAgentPrefix("penstock/" + std::string(version));
    // Without it all channels to one address share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // A connection that a firewall has forgotten is noticed before the call's own time is over.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
    // A message has up to 10 MB, an answer several of them; gRPC takes 4 MB unless told.
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(endpoint.address, credentials, arguments);
}

}  // namespace

Result<std::function<std::shared_ptr<grpc::Channel>()>> channel_opener(const ConnectionOptions& options) {
    static const bool quiet = [] {
        gpr_set_log_function(log_line);
        return true;
    }();
    static_cast<void>(quiet);
    PN_TRY(auto endpoint, endpoint_of(options.endpoint));
    PN_TRY(auto credentials, channel_credentials(options, endpoint));
    return [endpoint, credentials] { return channel_to(endpoint, credentials); };
}

CallStatus from_grpc(const grpc::Status& status) {
    return {.code = static_cast<Code>(status.error_code()), .message = status.error_message()};
}

}  // namespace penstock::pubsub
