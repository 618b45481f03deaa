#pragma once

#include <functional>
#include <memory>

#include "base/error.h"
#include "connect/pubsub/call_status.h"
#include "connect/pubsub/options.h"

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace penstock::pubsub {

/// Opens a connection of its own to the service at each call. Reads the credentials; calls nobody yet.
Result<std::function<std::shared_ptr<grpc::Channel>()>> channel_opener(const ConnectionOptions& options);

CallStatus from_grpc(const grpc::Status& status);

}  // namespace penstock::pubsub
