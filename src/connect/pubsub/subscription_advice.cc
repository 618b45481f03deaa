#include "connect/pubsub/subscription_advice.h"

#include <fmt/format.h>

#include "base/humane.h"

namespace penstock::pubsub {
namespace {

/// Below it a process that stands still for a moment loses its messages to others.
constexpr std::chrono::seconds short_deadline{20};
constexpr std::chrono::seconds short_retention = std::chrono::hours(24);

std::unexpected<Error> refuse(std::string code, std::string message, std::string hint) {
    return fail(
        {.kind = ErrorKind::refused, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)});
}

}  // namespace

Status check_pullable(const SubscriptionFacts& facts, const std::string& subscription) {
    if (facts.pushes)
        return refuse("subscription_pushes", fmt::format("{} delivers by itself, and cannot be pulled", subscription),
                      "make a subscription of type pull for Penstock");
    if (facts.detached)
        return refuse("subscription_detached",
                      fmt::format("{} is detached from its topic: it gets nothing any more", subscription),
                      "make another subscription of the topic");
    return {};
}

std::vector<Advice> advice_on(const SubscriptionFacts& facts, const std::string& subscription) {
    std::vector<Advice> out;
    if (facts.topic == "_deleted-topic_")
        out.push_back({fmt::format("the topic of {} was deleted: only what it holds still comes", subscription),
                       "make a subscription of the topic that is in use"});
    if (facts.ack_deadline < short_deadline)
        out.push_back(
            {fmt::format("{} has an ack deadline of {}: a moment's standstill is enough for messages to come again",
                         subscription, humane_duration(facts.ack_deadline)),
             "set its ackDeadlineSeconds to 60 or more"});
    if (facts.dead_letter_topic.empty())
        out.push_back({fmt::format("{} has no dead letter topic", subscription),
                       "set one, so that a message which no process survives does not come for ever"});
    if (facts.retention.count() > 0 && facts.retention < short_retention)
        out.push_back({fmt::format("{} keeps messages for {} only: a longer standstill loses them", subscription,
                                   humane_duration(facts.retention)),
                       "set its messageRetentionDuration to 7d"});
    return out;
}

std::string describe(const SubscriptionFacts& facts) {
    std::string out = fmt::format("of {}, {}, ack deadline {}", facts.topic,
                                  facts.exactly_once ? "exactly-once delivery" : "at-least-once delivery",
                                  humane_duration(facts.ack_deadline));
    if (facts.ordered) out += ", ordered";
    if (!facts.filter.empty()) out += fmt::format(", filter {}", facts.filter);
    if (facts.retention.count() > 0) out += fmt::format(", keeps messages for {}", humane_duration(facts.retention));
    if (!facts.dead_letter_topic.empty())
        out += fmt::format(", after {} attempts to {}", facts.dead_letter_attempts, facts.dead_letter_topic);
    return out;
}

}  // namespace penstock::pubsub
