#include "connect/kafka/topic_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

namespace penstock::kafka {
namespace {

/// The topic's partitions, none where it does not exist.
Result<PartitionList> partitions_of(const Client& client, const std::string& topic) {
    PartitionList list(rd_kafka_topic_partition_list_new(1));
    std::unique_ptr<rd_kafka_topic_t, decltype(&rd_kafka_topic_destroy)> handle(
        rd_kafka_topic_new(client.handle(), topic.c_str(), nullptr), rd_kafka_topic_destroy);
    const rd_kafka_metadata_t* raw = nullptr;
    auto code = rd_kafka_metadata(client.handle(), 0, handle.get(), &raw, client.timeout_ms());
    if (code != 0) return fail(client.error(code, fmt::format("asking for topic {}", topic)));
    std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)> metadata(
        raw, rd_kafka_metadata_destroy);
    for (int i = 0; i < raw->topic_cnt; ++i) {
        const auto& found = raw->topics[i];
        if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;
        if (found.err != 0) return fail(client.error(found.err, fmt::format("asking for topic {}", topic)));
        for (int p = 0; p < found.partition_cnt; ++p)
            rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), found.partitions[p].id)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
    }
    return list;
}

using MessagePtr = std::unique_ptr<rd_kafka_message_t, decltype(&rd_kafka_message_destroy)>;

std::optional<std::string_view> bytes_if_any(const void* bytes, size_t size) {
    if (bytes == nullptr) return std::nullopt;
    return std::string_view(static_cast<const char*>(bytes), size);
}

/// How long to wait for transactions that are neither committed nor taken back: those about to be are so within moments.
constexpr auto unended_transactions = std::chrono::seconds(2);

struct End {
    int64_t offset = 0;
    bool stuck = false;  ///< readers of committed transactions get no further
};

/// Where each partition that has anything ends.
Result<std::map<int32_t, End>> ends_of(const Client& client, const rd_kafka_topic_partition_list_t& partitions,
                                       std::string_view doing) {
    std::map<int32_t, End> ends;
    for (int i = 0; i < partitions.cnt; ++i) {
        const auto& partition = partitions.elems[i];
        int64_t low = 0, high = 0;
        auto code = rd_kafka_query_watermark_offsets(client.handle(), partition.topic, partition.partition, &low, &high,
                                                     client.timeout_ms());
        if (code != 0) return fail(client.error(code, doing));
        if (high > low) ends[partition.partition].offset = high;
    }
    return ends;
}

Error stopped_reading() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while reading from Kafka"};
}

}  // namespace

Status read_topic(const ConnectionOptions& connection, const std::string& topic, std::stop_token stop,
                  const std::function<Status(const Record&)>& visit) {
    PN_TRY(auto client, Client::open(Role::consumer, connection,
                                     {{"group.id", "penstock-bookkeeping"},
                                      {"enable.auto.commit", "false"},
                                      {"enable.partition.eof", "true"},
                                      {"fetch.wait.max.ms", "10"},  // the end of a topic is told by a fetch that waits
                                      {"isolation.level", "read_committed"},
                                      {"allow.auto.create.topics", "false"},
                                      {"auto.offset.reset", "earliest"}}));
    PN_TRY(auto partitions, partitions_of(client, topic));
    auto doing = fmt::format("reading topic {}", topic);
    PN_TRY(auto ends, ends_of(client, *partitions, doing));
    if (auto code = rd_kafka_assign(client.handle(), partitions.get()); code != 0)
        return fail(client.error(code, doing));
    auto last_news = std::chrono::steady_clock::now();
    while (!ends.empty()) {
        if (stop.stop_requested()) return fail(stopped_reading());
        MessagePtr message(rd_kafka_consumer_poll(client.handle(), 50), rd_kafka_message_destroy);
        auto quiet = std::chrono::steady_clock::now() - last_news;
        if (message == nullptr) {
            // What is left belongs to transactions that nobody has ended.
            if (std::ranges::all_of(ends, [](const auto& end) { return end.second.stuck; }) &&
                quiet > unended_transactions)
                return {};
            if (quiet > connection.timeout) return fail(client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, doing));
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            auto end = ends.find(message->partition);
            if (end == ends.end()) continue;
            end->second.stuck = message->offset < end->second.offset;
            if (!end->second.stuck) ends.erase(end);
        } else if (message->err != 0) {
            // Brokers that went away come back, or the timeout ends it.
            if (client.error(message->err, doing).kind != ErrorKind::unavailable || quiet > connection.timeout)
                return fail(client.error(message->err, doing, rd_kafka_message_errstr(message.get())));
            continue;
        } else {
            PN_CHECK(visit({.partition = message->partition,
                            .offset = message->offset,
                            .key = bytes_if_any(message->key, message->key_len),
                            .value = bytes_if_any(message->payload, message->len),
                            .message = message.get()}));
        }
        last_news = std::chrono::steady_clock::now();
    }
    return {};
}

}  // namespace penstock::kafka
