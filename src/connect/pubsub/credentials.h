#pragma once

#include <memory>

#include "base/error.h"
#include "connect/pubsub/options.h"

namespace grpc {
class ChannelCredentials;
}

namespace penstock::pubsub {

/// How calls are encrypted and say who asks: the key file that the connection names, or Google's Application Default
/// Credentials; nothing for an endpoint without encryption.
Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(const ConnectionOptions& options,
                                                                      const Endpoint& endpoint);

}  // namespace penstock::pubsub
