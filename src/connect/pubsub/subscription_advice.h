#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "connect/pubsub/subscriber.h"

namespace penstock::pubsub {

struct Advice {
    std::string detail, fix;
};

/// Whether messages can be pulled from it at all.
Status check_pullable(const SubscriptionFacts& facts, const std::string& subscription);

/// What would be better.
std::vector<Advice> advice_on(const SubscriptionFacts& facts, const std::string& subscription);

/// "of projects/p/topics/t, exactly once, ordered, ack deadline 60 s, retention 7 d"
std::string describe(const SubscriptionFacts& facts);

}  // namespace penstock::pubsub
