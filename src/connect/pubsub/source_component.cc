#include "connect/pubsub/source_component.h"

#include <fmt/format.h>

#include "connect/pubsub/source_options.h"
#include "connect/pubsub/subscriber_client.h"
#include "connect/pubsub/subscription_advice.h"
#include "transform/events/source.h"

namespace penstock::pubsub {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

struct Wanted {
    ConnectionOptions connection;
    SourceOptions source;
    std::string subscription;  ///< in full
};

Result<Wanted> wanted_by(const flow::BuildContext& context) {
    Wanted out;
    PN_TRY(out.connection, connection_spec().parse(context.connection));
    PN_TRY(out.source, source_spec().parse(context.pipeline.source));
    PN_TRY(out.subscription, subscription_of(out.connection, out.source));
    return out;
}

}  // namespace

bool is_stream(const flow::BuildContext&) { return true; }
bool is_routed(const flow::BuildContext&) { return true; }

Result<std::shared_ptr<flow::PayloadDecoder>> payload_decoder(const flow::BuildContext& context) {
    PN_TRY(auto wanted, wanted_by(context));
    PN_TRY(auto made, payload::make_decoder(wanted.source.payload()));
    return std::shared_ptr<flow::PayloadDecoder>(std::move(made));
}

Status validate_source(const flow::BuildContext& context) {
    PN_CHECK(wanted_by(context));
    return {};
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto wanted, wanted_by(context));
    PN_TRY(auto subscriber, SubscriberClient::make(wanted.connection, wanted.subscription));
    auto stream = std::make_unique<SubscriptionStream>(std::move(subscriber),
                                                       wanted.source.stream(wanted.subscription, context.memory_bytes));
    auto options = events::EventOptions::of(context);
    PN_TRY(options.decoder, payload_decoder(context));
    return std::make_unique<events::EventSource>(std::move(options), std::move(stream));
}

Result<std::vector<Finding>> examine_source(const flow::BuildContext& context, std::stop_token stop) {
    PN_TRY(auto wanted, wanted_by(context));
    PN_TRY(auto subscriber, SubscriberClient::make(wanted.connection, wanted.subscription));
    auto facts = subscriber->look(stop);
    if (!facts && facts.error().code == "pubsub_permission_denied")
        return std::vector<Finding>{
            {.severity = Severity::warning,
             .what = "subscription",
             .detail = fmt::format("{} cannot be looked at by this account", wanted.subscription),
             .fix = "grant it roles/pubsub.viewer on the subscription, beside roles/pubsub.subscriber"}};
    auto usable = facts ? check_pullable(*facts, wanted.subscription) : Status(fail(facts.error()));
    if (!usable)
        return std::vector<Finding>{{.severity = Severity::problem,
                                     .what = "subscription",
                                     .detail = usable.error().message,
                                     .fix = usable.error().hint}};
    std::vector<Finding> out = {
        {.what = "subscription", .detail = fmt::format("{} {}", wanted.subscription, describe(*facts)), .fix = ""}};
    for (auto& advice : advice_on(*facts, wanted.subscription))
        out.push_back({.severity = Severity::warning,
                       .what = "subscription",
                       .detail = std::move(advice.detail),
                       .fix = std::move(advice.fix)});
    return out;
}

}  // namespace penstock::pubsub
