#include "connect/kafka/options.h"

#include <fmt/format.h>

#include "config/spec.h"

namespace penstock::kafka {
namespace {

using T = TargetOptions;

Status check_target(const T& options, const config::Node& node) {
    for (const char* name : {"mode", "key", "update_when", "partition_by", "cluster_by", "deletes"})
        if (const auto* given = node.find(name))
            return fail(config::problem(*given, "option_without_effect",
                                        fmt::format("`{}` is for tables: a topic takes every change as it comes", name),
                                        "leave it out"));
    if (options.bookkeeping.empty())
        return fail(config::problem(*node.find("bookkeeping"), "bookkeeping_needed",
                                    "without bookkeeping topics nothing would say how far a run has come",
                                    "name a prefix for their names, or leave `bookkeeping` out"));
    flow::TableInfo sample{.name = "schema.table", .schema = {}, .key = {}, .cursor = {}, .notes = {}};
    auto topic = debezium::topic_name(options.topic.empty() ? "{table}" : options.topic.value, "server", sample);
    if (topic) return {};
    topic.error().where = options.topic.place.text();
    return fail(std::move(topic.error()));
}

config::Spec<T> shape(config::Spec<T> spec) {
    using debezium::Binaries;
    using debezium::Decimals;
    using debezium::Intervals;
    using debezium::Times;
    return std::move(spec)
        .field("schemas", &T::schemas,
               "Each key and value with its Kafka Connect schema, {\"schema\": …, \"payload\": …}.")
        .field("tombstones", &T::tombstones,
               "After each delete a message without value, so that compaction forgets the key.")
        .field("transaction_blocks", &T::transaction_blocks,
               "The `transaction` block: id and order of the change within its transaction.")
        .field("position_header", &T::position_header,
               "A header `__penstock.position` in each message: commit position and ordinal, as text that sorts.")
        .choice("decimals", &T::decimals,
                {{"precise", Decimals::precise, "The unscaled number as bytes, the scale in the schema."},
                 {"string", Decimals::string, "All digits, as text."},
                 {"double", Decimals::floating, "A JSON number; readers may round it."}},
                "How exact numbers are written: Debezium's `decimal.handling.mode`.")
        .choice("times", &T::times,
                {{"adaptive", Times::adaptive, "Milliseconds up to a precision of 3, else microseconds."},
                 {"adaptive_time_microseconds", Times::adaptive_time, "The same, but times of day in microseconds."},
                 {"microseconds", Times::microseconds, "Microseconds."},
                 {"nanoseconds", Times::nanoseconds, "Nanoseconds: years 1677 to 2262 only."},
                 {"isostring", Times::isostring, "Text as ISO 8601 has it."},
                 {"connect", Times::connect, "Milliseconds; microseconds are cut off."}},
                "How dates and times without zone are written: Debezium's `time.precision.mode`.")
        .choice("intervals", &T::intervals,
                {{"numeric", Intervals::numeric, "Microseconds, with months of 30.4375 days."},
                 {"string", Intervals::string, "P1Y2M3DT4H5M6.7S, exactly."}},
                "How intervals are written: Debezium's `interval.handling.mode`.")
        .choice("binaries", &T::binaries,
                {{"bytes", Binaries::bytes, "base64, of type bytes."},
                 {"base64", Binaries::base64, "base64, of type string."},
                 {"base64-url-safe", Binaries::base64_url, "base64 with the URL's alphabet."},
                 {"hex", Binaries::hex, "Hexadecimal digits."}},
                "How bytes are written: Debezium's `binary.handling.mode`.");
}

}  // namespace

std::string_view to_string(Compression compression) {
    switch (compression) {
        case Compression::none: return "none";
        case Compression::gzip: return "gzip";
        case Compression::snappy: return "snappy";
        case Compression::lz4: return "lz4";
        case Compression::zstd: return "zstd";
    }
    std::unreachable();
}

const config::Spec<TargetOptions>& target_spec() {
    static const auto made =
        shape(config::Spec<T>("kafka target", "Topics that get every change of the tables, each exactly once.")
                  .include(config::target_spec())
                  .field(
                      "topic", &T::topic,
                      "The topic of a table: {server}, {database}, {schema} and {table} stand for where it comes from.",
                      {.example = "\"{server}.{schema}.{table}\"", .default_note = "\"{server}.{schema}.{table}\""})
                  .choice("format", &T::format, {{"debezium", Format::debezium, "Debezium's change events, as JSON."}},
                          "How changes are written.")
                  .field("server", &T::server, "What {server} and `source.name` say: Debezium's `topic.prefix`.",
                         {.example = "shop", .default_note = "the name of the source's connection"}))
            .choice("compression", &T::compression,
                    {{"lz4", Compression::lz4, "cheap, and much smaller"},
                     {"zstd", Compression::zstd, "smaller still"},
                     {"snappy", Compression::snappy, "cheap"},
                     {"gzip", Compression::gzip, "for old readers"},
                     {"none", Compression::none, "not at all"}},
                    "How batches of messages are packed.")
            .field("create_topics", &T::create_topics, "Topics that do not exist are created.")
            .field("partitions", &T::partitions, "Of topics that are created.",
                   {.default_note = "the brokers' num.partitions", .least = 1, .most = 100'000})
            .field("replication", &T::replication, "Copies of topics that are created.",
                   {.default_note = "the brokers' default.replication.factor", .least = 1, .most = 100})
            .field("topic_config", &T::topic_config, "Further settings of tables' topics that are created.",
                   {.example = "{cleanup.policy: compact}"})
            .field("bookkeeping", &T::bookkeeping,
                   "What the names of the topics begin with in which checkpoints, rejects and batches are kept: "
                   "`penstock_checkpoints`, `penstock_rejects`, `penstock_batches`.")
            .field("transactional_id", &T::transactional_id,
                   "The producer's id: of two that have the same only the newer one can write.",
                   {.default_note = "penstock. and the pipeline's name"})
            .field("transaction_timeout", &T::transaction_timeout,
                   "What the brokers take back when it was not committed by then: a table's snapshot is one "
                   "transaction. No "
                   "longer than their transaction.max.timeout.ms.")
            .field("max_message_bytes", &T::max_message_bytes, "A message that is larger becomes a reject.",
                   {.default_note = "max.message.bytes of each topic"})
            .check(check_target);
    return made;
}

BookkeepingTopics bookkeeping_topics(const TargetOptions& options) {
    return {.checkpoints = options.bookkeeping + "_checkpoints",
            .rejects = options.bookkeeping + "_rejects",
            .batches = options.bookkeeping + "_batches"};
}

}  // namespace penstock::kafka
