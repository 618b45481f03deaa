#include "connect/pubsub/component.h"

#include <fmt/format.h>

#include "base/version.h"
#include "config/spec.h"
#include "connect/pubsub/client.h"
#include "connect/pubsub/options.h"
#include "connect/pubsub/sink.h"
#include "connect/pubsub/source_component.h"
#include "connect/pubsub/source_options.h"

namespace penstock::pubsub {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

Status validate_target(const flow::BuildContext& context) {
    PN_CHECK(connection_spec().parse(context.connection));
    PN_CHECK(target_spec().parse(context.pipeline.target));
    return {};
}

debezium::EnvelopeOptions envelope_of(const flow::BuildContext& context, const TargetOptions& target) {
    auto envelope = target.options(context.pipeline.source_connection);
    envelope.version = std::string(version);
    envelope.transactions = target.transactions;
    envelope.tombstones = false;  // they are for compacted logs
    return envelope;
}

Result<std::unique_ptr<flow::Sink>> build_sink(const flow::BuildContext& context) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    SinkSettings settings{.connection = std::move(connection),
                          .envelope = envelope_of(context, target),
                          .pipeline = context.pipeline.name,
                          .state_url = context.state.reveal(),
                          .state_directory = context.state_directory,
                          .connection_name = context.connection_name,
                          .memory_bytes = context.memory_bytes};
    settings.target = std::move(target);
    return std::make_unique<Sink>(std::move(settings));
}

Result<std::string> name_for(const flow::BuildContext& context, const flow::TableInfo& table) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    PN_TRY(auto topic, topic_of(connection, target, envelope_of(context, target).server, table));
    return target_name(target, topic, table);
}

Result<std::unique_ptr<flow::Ledger>> open_ledger(const flow::BuildContext& context) {
    return std::make_unique<state::TargetLedger>(context.state.reveal(), context.state_directory,
                                                 context.connection_name);
}

Finding as_finding(const CallStatus& status, const ConnectionOptions& options) {
    std::string where = fmt::format("project {} at {}", options.project.value, options.endpoint.value);
    if (status.ok()) return {.what = "service", .detail = where + " answers", .fix = ""};
    if (status.code == Code::permission_denied)
        return {.what = "service",
                .detail = where + " answers; this account may not list topics, so they cannot be looked at beforehand",
                .fix = ""};
    auto error = call_error(status, "list the topics of " + where);
    return {.severity = Severity::problem, .what = "service", .detail = error.message, .fix = error.hint};
}

Result<std::vector<Finding>> doctor(const config::Node& connection, const std::filesystem::path&,
                                    std::stop_token stop) {
    PN_TRY(auto options, connection_spec().parse(connection));
    PN_TRY(auto client, Client::make(options, 1));
    return std::vector<Finding>{as_finding(client->probe(options.project.value, stop), options)};
}

/// "topic:shop:orders" of "projects/shop/topics/orders" and what may stand behind it.
std::string resource_name(std::string_view kind, std::string_view path) {
    auto project = path.substr(path.find('/') + 1);
    auto name = project.substr(project.find('/') + 1);
    name = name.substr(name.find('/') + 1);
    return fmt::format("{}:{}:{}", kind, project.substr(0, project.find('/')), name.substr(0, name.find(' ')));
}

Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo&) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto source, source_spec().parse(context.pipeline.source));
    PN_TRY(auto subscription, subscription_of(connection, source));
    return std::vector<flow::Dataset>{{.space = "pubsub", .name = resource_name("subscription", subscription)}};
}

Result<flow::Dataset> target_dataset(const flow::BuildContext&, const std::string& table) {
    return flow::Dataset{.space = "pubsub", .name = resource_name("topic", table)};
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "pubsub",
        .doc =
            "Google Cloud Pub/Sub: changes as Debezium envelopes with ordering keys, at least once, each with an id "
            "that a consumer can drop repeats by; and the events of a subscription, each loaded once.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .is_stream = is_stream,
        .is_routed = is_routed,
        .payload_decoder = payload_decoder,
        .validate_source = validate_source,
        .validate_target = validate_target,
        .build_source = build_source,
        .build_sink = build_sink,
        .target_name = name_for,
        .open_ledger = open_ledger,
        .target_holds = {.infinite_dates = true,
                         .end_of_day = true,
                         .timetz = true,
                         .interval = true,
                         .free_decimals = true,
                         .range_text = true,
                         .old_rows = true},
        .light_commits = true,
        .takes_changes = true,
        .doctor = doctor,
        .examine_source = examine_source,
        .source_datasets = source_datasets,
        .target_dataset = target_dataset,
    };
    return made;
}

}  // namespace penstock::pubsub
