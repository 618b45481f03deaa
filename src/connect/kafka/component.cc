#include "connect/kafka/component.h"

#include <fmt/format.h>

#include "connect/kafka/doctor.h"
#include "connect/kafka/ledger.h"
#include "connect/kafka/options.h"
#include "connect/kafka/sink.h"
#include "connect/kafka/source_component.h"
#include "connect/kafka/source_options.h"

namespace penstock::kafka {
namespace {

Status validate_target(const flow::BuildContext& context) {
    PN_CHECK(parse_connection(context.connection, context.connection_name));
    PN_CHECK(target_spec().parse(context.pipeline.target));
    return {};
}

std::string server_of(const flow::BuildContext& context, const TargetOptions& options) {
    return options.server.empty() ? context.pipeline.source_connection : options.server.value;
}

Result<std::unique_ptr<flow::Sink>> build_sink(const flow::BuildContext& context) {
    PN_TRY(auto connection, parse_connection(context.connection, context.connection_name));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    auto server = server_of(context, target);
    return std::make_unique<Sink>(SinkSettings{.connection = std::move(connection),
                                               .target = std::move(target),
                                               .pipeline = context.pipeline.name,
                                               .server = std::move(server),
                                               .threads = context.parallel,
                                               .memory_bytes = context.memory_bytes});
}

Result<std::string> target_name(const flow::BuildContext& context, const flow::TableInfo& table) {
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    if (!table.changes)
        return fail({.kind = ErrorKind::configuration,
                     .code = "changes_only",
                     .message = fmt::format("{} is read as a table, and a kafka target takes changes", table.name),
                     .where = context.pipeline.target.place.text(),
                     .hint = "write `changes:` instead of `table:` or `query:` in the source"});
    std::string pattern = target.topic.empty() ? "{server}.{schema}.{table}" : target.topic.value;
    return debezium::topic_name(pattern, server_of(context, target), table);
}

Result<std::unique_ptr<flow::Ledger>> open_ledger(const flow::BuildContext& context) {
    PN_TRY(auto connection, parse_connection(context.connection, context.connection_name));
    PN_TRY(auto target, target_spec().parse(context.pipeline.target));
    return std::make_unique<Ledger>(std::move(connection), bookkeeping_topics(target), context.pipeline.name);
}

std::string space_of(const ConnectionOptions& connection) {
    const auto& brokers = connection.brokers.value;
    auto first = brokers.substr(0, brokers.find(','));
    return fmt::format("kafka://{}{}", first, first.find(':') == first.npos ? ":9092" : "");
}

/// Of a stream of events every topic may have brought a table's rows.
Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo& table) {
    PN_TRY(auto connection, parse_connection(context.connection, context.connection_name));
    PN_TRY(auto source, source_spec().parse(context.pipeline.source));
    std::vector<flow::Dataset> datasets;
    for (const auto& topic : source.topics)
        if (source.format != SourceFormat::debezium || table_of_topic(topic.value) == table.name)
            datasets.push_back({.space = space_of(connection), .name = topic.value});
    return datasets;
}

Result<flow::Dataset> target_dataset(const flow::BuildContext& context, const std::string& table) {
    PN_TRY(auto connection, parse_connection(context.connection, context.connection_name));
    return flow::Dataset{.space = space_of(connection), .name = table};
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "kafka",
        .doc =
            "Kafka: changes of tables as Debezium's events, each exactly once; a commit is one transaction with its "
            "checkpoint.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .target_spec = []() -> const config::SpecBase& { return target_spec(); },
        .is_stream = is_event_stream,
        .is_routed = is_routed,
        .payload_decoder = payload_decoder,
        .validate_source = validate_events,
        .validate_target = validate_target,
        .build_source = build_event_source,
        .build_sink = build_sink,
        .target_name = target_name,
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
        .source_datasets = source_datasets,
        .target_dataset = target_dataset,
    };
    return made;
}

}  // namespace penstock::kafka
