#pragma once

#include <cstdint>
#include <string>

#include "connect/pubsub/subscriber.h"

namespace penstock::pubsub {

/// A message's attributes as a JSON object, sorted, and what else the service says of it, by names that no attribute can have
/// (Google reserves them, and its own clients use the first):
///
///     {"country":"DE","googclient_deliveryattempt":"3","googclient_orderingkey":"user-7"}
///
/// The attempt is there where the subscription has a dead-letter policy. "" where there is nothing.
std::string attributes_json(const Received& received);

int64_t micros_of(const google::protobuf::Timestamp& time);

}  // namespace penstock::pubsub
