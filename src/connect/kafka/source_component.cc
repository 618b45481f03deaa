#include "connect/kafka/source_component.h"

#include <fmt/format.h>

#include "connect/kafka/message_stream.h"
#include "connect/kafka/source.h"
#include "transform/events/source.h"

namespace penstock::kafka {
namespace {

Result<EventSourceOptions> event_options(const flow::BuildContext& context) {
    EventSourceOptions out;
    PN_TRY(out.connection, parse_connection(context.connection, context.connection_name));
    PN_TRY(out.source, source_spec().parse(context.pipeline.source));
    out.policies = context.pipeline;
    out.holds = context.holds;
    out.group = out.source.group.empty() ? "penstock-" + context.pipeline.name : out.source.group.value;
    out.memory_bytes = context.memory_bytes;
    out.follow = context.follow;
    debezium::DecodeOptions decoding{.policies = out.policies, .holds = out.holds};
    for (const auto& [column, type] : out.source.columns.list)
        if (auto shape = debezium::declared_shape("", column, type.value, decoding); !shape)
            return fail(std::move(shape.error()).at(type.place.text()));
    return out;
}

Result<std::shared_ptr<flow::PayloadDecoder>> decoder_of(const EventSourceOptions& options) {
    PN_TRY(auto made, payload::make_decoder(format_of(options.source, options.connection.schema_registry)));
    return std::shared_ptr<flow::PayloadDecoder>(std::move(made));
}

/// A share of the memory for what the client fetches ahead.
Result<std::unique_ptr<flow::Source>> routed(EventSourceOptions options, const flow::BuildContext& context) {
    auto events = events::EventOptions::of(context);
    PN_TRY(events.decoder, decoder_of(options));
    std::vector<std::string> topics(options.source.topics.begin(), options.source.topics.end());
    // In a group of its own making a process is alone.
    bool named = !options.source.group.empty();
    auto stream = std::make_unique<KafkaStream>(std::move(options.connection), std::move(options.group), named,
                                                std::move(topics), context.memory_bytes);
    return std::make_unique<events::EventSource>(std::move(events), std::move(stream));
}

}  // namespace

bool is_event_stream(const flow::BuildContext&) { return true; }

bool is_routed(const flow::BuildContext& context) {
    auto options = source_spec().parse(context.pipeline.source);
    return options && options->format != SourceFormat::debezium;
}

Result<std::shared_ptr<flow::PayloadDecoder>> payload_decoder(const flow::BuildContext& context) {
    PN_TRY(auto options, event_options(context));
    if (options.source.format == SourceFormat::debezium) return nullptr;
    return decoder_of(options);
}

Status validate_events(const flow::BuildContext& context) {
    PN_TRY(auto options, event_options(context));
    if (options.source.format != SourceFormat::debezium)
        PN_CHECK(payload::check_format(format_of(options.source, options.connection.schema_registry),
                                       context.pipeline.source));
    return {};
}

Result<std::unique_ptr<flow::Source>> build_event_source(const flow::BuildContext& context) {
    PN_TRY(auto options, event_options(context));
    if (options.source.format != SourceFormat::debezium) return routed(std::move(options), context);
    return std::make_unique<EventSource>(std::move(options));
}

}  // namespace penstock::kafka
