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
        config::Spec<T>("kafka target", "Topics that get every change of the tables, each exactly once.")
            .include(config::target_spec())
            .field("topic", &T::topic,
                   "The topic of a table: {server}, {database}, {schema} and {table} stand for where it comes from.",
                   {.example = "\"{server}.{schema}.{table}\"", .default_note = "\"{server}.{schema}.{table}\""})
            .choice("format", &T::format, {{"debezium", Format::debezium, "Debezium's change events, as JSON."}},
                    "How changes are written.")
            .include(debezium::envelope_spec())
            .field("tombstones", &T::tombstones,
                   "After each delete a message without value, so that compaction forgets the key.")
            .field("transaction_blocks", &T::transaction_blocks,
                   "The `transaction` block: id and order of the change within its transaction.")
            .field("position_header", &T::position_header,
                   "A header `__penstock.position` in each message: commit position and ordinal, as text that sorts.")
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
