#include "connect/pubsub/subscription_stream.h"

#include <algorithm>

#include "base/humane.h"
#include "base/ids.h"
#include "base/log.h"
#include "connect/pubsub/subscription_advice.h"

namespace penstock::pubsub {
namespace {

constexpr auto delivery_pause = std::chrono::milliseconds(20);

}  // namespace

SubscriptionStream::SubscriptionStream(std::unique_ptr<Subscriber> subscriber, StreamOptions options)
    : subscriber_(std::move(subscriber)),
      options_(std::move(options)),
      deliveries_(options_.subscription, options_.limits) {}

SubscriptionStream::~SubscriptionStream() {
    if (puller_) puller_->stop();
    if (answers_) answers_->finish();
    auto counts = deliveries_.counts();
    if (counts.repeated + counts.expired + counts.let_go > 0)
        log::info(
            "{}: {} messages; {} deliveries were repeats, {} of them of durable messages; {} acknowledgements or "
            "leases came too late, {} leases were let go",
            options_.subscription, humane_count(static_cast<int64_t>(counts.taken)), counts.repeated, counts.again,
            counts.expired, counts.let_go);
}

Result<int64_t> SubscriptionStream::connect(std::stop_token stop) {
    stop_ = std::move(stop);
    PN_TRY(facts_, look());
    return -1;
}

/// Google's role pubsub.subscriber may pull, and may not look.
Result<SubscriptionFacts> SubscriptionStream::look() {
    auto seen = subscriber_->look(stop_);
    if (!seen && seen.error().code == "pubsub_permission_denied") {
        log::warning("{} cannot be looked at by this account: whether it fits is not known", options_.subscription);
        return SubscriptionFacts();
    }
    if (!seen) return seen;
    PN_CHECK(check_pullable(*seen, options_.subscription));
    for (const auto& advice : advice_on(*seen, options_.subscription))
        log::warning("{}: {}", advice.detail, advice.fix);
    return seen;
}

Status SubscriptionStream::begin(const std::optional<std::string>& position) {
    if (position) {
        PN_TRY(auto before, StreamPosition::from_json(*position));
        if (before.subscription == options_.subscription) deliveries_.begin(before);
        else
            log::warning("until now {} was read: what came by it is not recognised in {}", before.subscription,
                         options_.subscription);
    }
    puller_ = std::make_unique<Puller>(
        *subscriber_, deliveries_,
        PullOptions{.streaming = options_.streaming,
                    .lease = options_.lease,
                    .ack_deadline = facts_.ack_deadline,
                    .outstanding_messages = static_cast<int64_t>(options_.limits.outstanding_messages),
                    .outstanding_bytes = static_cast<int64_t>(options_.limits.outstanding_bytes),
                    .client_id = "penstock-" + new_run_id(),
                    .retry_for = options_.retry_for,
                    .first_delay = options_.first_delay});
    answers_ = std::make_unique<Answers>(*subscriber_, deliveries_,
                                         options_.streaming ? options_.lease : facts_.ack_deadline, options_.lease);
    answers_->start();
    puller_->start();
    return {};
}

Status SubscriptionStream::receive(flow::MessageBatch& batch, uint64_t most_bytes) {
    for (auto failure : {puller_->failure(), answers_->failure()})
        if (failure) return fail(std::move(*failure).at(options_.subscription));
    deliveries_.give(batch, most_bytes, delivery_pause);
    return {};
}

bool SubscriptionStream::drained() const {
    auto since = puller_->in_reach_since();
    if (!since || !deliveries_.quiet()) return false;
    return std::chrono::steady_clock::now() - std::max(*since, deliveries_.last_taken()) >= options_.idle;
}

std::string SubscriptionStream::position() { return deliveries_.position(); }

Result<std::string> SubscriptionStream::merge(const std::optional<std::string>& newest) {
    if (newest) {
        PN_TRY(auto held, StreamPosition::from_json(*newest));
        if (held.subscription == options_.subscription) PN_CHECK(deliveries_.learn(held));
    }
    return deliveries_.position();
}

Status SubscriptionStream::confirm(const std::string& position) {
    PN_TRY(auto durable, StreamPosition::head_from_json(position));
    deliveries_.confirm(durable);
    return {};
}

}  // namespace penstock::pubsub
