#include "connect/kafka/source_component.h"

#include <fmt/format.h>

#include "connect/kafka/source.h"

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

}  // namespace

bool is_event_stream(const flow::BuildContext&) { return true; }

Status validate_events(const flow::BuildContext& context) {
    PN_CHECK(event_options(context));
    return {};
}

Result<std::unique_ptr<flow::Source>> build_event_source(const flow::BuildContext& context) {
    PN_TRY(auto options, event_options(context));
    return std::make_unique<EventSource>(std::move(options));
}

}  // namespace penstock::kafka
