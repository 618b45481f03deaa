#include "connect/kafka/source_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"

namespace penstock::kafka {
namespace {

config::Codec<DeclaredColumns> columns_codec() {
    auto inner = config::BuiltIn<config::Text>::codec();
    auto shape = config::map_of(inner).shape;
    return {shape,
            [inner](const config::Node& node, DeclaredColumns& into, const config::Reading& reading) {
                if (!node.is_map())
                    return reading.refuse(node, "wrong_type", "expected a map of columns and their types");
                bool good = true;
                for (const auto& entry : node.entries) {
                    config::Text type;
                    good = inner.read(entry.value, type, reading) && good;
                    into.list.emplace_back(entry.key, std::move(type));
                }
                return good;
            },
            [](const DeclaredColumns&) { return config::Node{}; }};
}

/// Types of columns and the connector's options are for change events.
Status check_routed(const SourceOptions& options, const config::Node& node) {
    for (const char* name : {"columns", "decimals", "times", "intervals", "binaries", "unavailable_value"})
        if (const auto* given = node.find(name))
            return fail(config::problem(*given, "option_without_effect", fmt::format("`{}` is for change events", name),
                                        "leave it out: the route's schema has the types"));
    if (!options.topics.empty()) return {};
    return fail(config::problem(node, "no_topics", "`topics` is empty", "name the topics: [shop.events]"));
}

Status check_topics(const SourceOptions& options, const config::Node& node) {
    if (options.format != SourceFormat::debezium) return check_routed(options, node);
    for (const char* name : {"schema", "message"})
        if (const auto* given = node.find(name))
            return fail(config::problem(*given, "option_without_effect",
                                        fmt::format("`{}` is for events in Avro and Protobuf", name),
                                        "leave it out: change events are JSON in this version"));
    auto of = [](const config::Text& topic) { return table_of_topic(topic.value); };
    for (size_t i = 0; i < options.topics.size(); ++i)
        for (size_t j = 0; j < i; ++j)
            if (of(options.topics[i]) == of(options.topics[j]))
                return fail(config::problem(*node.find("topics"), "same_table",
                                            "topics " + options.topics[j].value + " and " + options.topics[i].value +
                                                " would both be table " + of(options.topics[i]),
                                            "give each a pipeline of its own"));
    if (!options.topics.empty()) return {};
    return fail(config::problem(node, "no_topics", "`topics` is empty", "name the topics: [shop.public.orders]"));
}

}  // namespace

payload::FormatOptions format_of(const SourceOptions& source, std::optional<payload::RegistryOptions> registry) {
    auto format = payload::Format::json;
    if (source.format == SourceFormat::avro) format = payload::Format::avro;
    if (source.format == SourceFormat::protobuf) format = payload::Format::protobuf;
    return {.format = format, .schema = source.schema, .message = source.message, .registry = std::move(registry)};
}

std::string table_of_topic(const std::string& topic) {
    auto last = topic.rfind('.');
    if (last == topic.npos || last == 0) return topic;
    auto before = topic.rfind('.', last - 1);
    return before == topic.npos ? topic : topic.substr(before + 1);
}

std::vector<std::pair<std::string, std::string>> columns_for(const SourceOptions& options, const std::string& table) {
    std::vector<std::pair<std::string, std::string>> out;
    std::string bare = table.substr(table.rfind('.') + 1);
    auto set = [&](const std::string& column, const std::string& type, bool over) {
        auto found = std::ranges::find(out, column, [](const auto& entry) { return entry.first; });
        if (found == out.end()) out.emplace_back(column, type);
        else if (over) found->second = type;
    };
    for (const auto& [name, type] : options.columns.list) {
        auto dot = name.rfind('.');
        if (dot == name.npos) {
            set(name, type.value, false);
            continue;
        }
        std::string of = name.substr(0, dot);
        if (of == table || of == bare) set(name.substr(dot + 1), type.value, true);
    }
    return out;
}

const config::Spec<SourceOptions>& source_spec() {
    using S = SourceOptions;
    using namespace debezium;
    static const auto made =
        config::Spec<S>(
            "kafka source",
            "Change events of Debezium's PostgreSQL connector, or Penstock's own, applied to a target in the "
            "order of each key: one topic is one table. Or events of any kind, routed into tables.")
            .include(config::source_spec())
            .required("topics", &S::topics, "Topics by name; the table is named by the last two parts.",
                      {.example = "[shop.public.orders]"})
            .choice(
                "format", &S::format,
                {{"debezium", SourceFormat::debezium, "Change events: envelopes as JSON, with schemas or without."},
                 {"json", SourceFormat::json, "Events of any kind, a JSON object each; `route` says where they go."},
                 {"avro", SourceFormat::avro,
                  "The same in Avro, by the connection's `schema_registry` or one `schema`."},
                 {"protobuf", SourceFormat::protobuf, "The same in Protobuf."}},
                "How the messages are written.")
            .field("schema", &S::schema, "The one schema of all messages, where no registry has it: .avsc or .proto.",
                   {.example = "schemas/order.avsc"})
            .field("message", &S::message, "The message type of a .proto `schema` that has several.",
                   {.example = "Order"})
            .field(
                "group", &S::group,
                "The consumer group whose offsets follow what is durable, for tools that show lag. The target's "
                "checkpoint decides where a run begins. Named, and with a `route`, several processes of the pipeline "
                "share the topics' partitions, where the target takes several.",
                {.default_note = "penstock-PIPELINE"})
            .field(
                "columns", &S::columns, columns_codec(),
                "Types of columns, as in PostgreSQL: all of them for events without schema, else those that are to be "
                "another type than the schema's. `table.column` where several topics differ.",
                {.example = "{id: bigint, amount: \"numeric(12,2)\"}"})
            .choice("decimals", &S::decimals,
                    {{"precise", Decimals::precise, "Base64 of the unscaled value."},
                     {"string", Decimals::string, "Text."},
                     {"double", Decimals::floating, "A number, rounded by the connector."}},
                    "The connector's `decimal.handling.mode`, for declared columns.")
            .choice("times", &S::times,
                    {{"adaptive", Times::adaptive, "Milliseconds up to precision 3, else microseconds."},
                     {"adaptive_time_microseconds", Times::adaptive_time, "The same, times always in microseconds."},
                     {"microseconds", Times::microseconds, "Microseconds."},
                     {"nanoseconds", Times::nanoseconds, "Nanoseconds."},
                     {"isostring", Times::isostring, "ISO 8601."},
                     {"connect", Times::connect, "Milliseconds, the rest cut off by the connector."}},
                    "The connector's `time.precision.mode`, for declared columns.")
            .choice(
                "intervals", &S::intervals,
                {{"numeric", Intervals::numeric, "Microseconds, a month of 30.4375 days: kept as the number it is."},
                 {"string", Intervals::string, "ISO 8601, exact."}},
                "The connector's `interval.handling.mode`, for declared columns.")
            .choice("binaries", &S::binaries,
                    {{"bytes", Binaries::bytes, "Base64."},
                     {"base64", Binaries::base64, "Base64, as text."},
                     {"base64-url-safe", Binaries::base64_url, "Base64 for URLs."},
                     {"hex", Binaries::hex, "Hexadecimal."}},
                    "The connector's `binary.handling.mode`, for columns declared as bytea.")
            .field("unavailable_value", &S::unavailable,
                   "The connector's `unavailable.value.placeholder`: what stands for a value that was not sent, and is "
                   "kept as the target has it.")
            .check(check_topics);
    return made;
}

}  // namespace penstock::kafka
