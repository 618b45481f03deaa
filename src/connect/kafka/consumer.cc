#include "connect/kafka/consumer.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::kafka {
namespace {

PartitionList new_list(size_t size) { return PartitionList(rd_kafka_topic_partition_list_new(static_cast<int>(size))); }

}  // namespace

Result<Client> Consumer::make_client(const ConnectionOptions& connection, const std::string& group,
                                     uint64_t queue_bytes, Group* member) {
    uint64_t kilobytes = std::clamp<uint64_t>(queue_bytes / 1024, 1024, 2097151);
    Properties properties = {{"group.id", group},
                             {"enable.auto.commit", "false"},
                             {"enable.auto.offset.store", "false"},
                             {"enable.partition.eof", "true"},
                             {"isolation.level", "read_committed"},
                             {"allow.auto.create.topics", "false"},
                             {"auto.offset.reset", "error"},
                             {"check.crcs", "true"},
                             {"queued.max.messages.kbytes", std::to_string(kilobytes)}};
    if (member == nullptr) return Client::open(Role::consumer, connection, properties);
    properties.emplace_back("partition.assignment.strategy", "cooperative-sticky");
    return Client::open(Role::consumer, connection, properties, {},
                        {.callback = Group::on_rebalance, .opaque = member});
}

Result<Consumer> Consumer::open(const ConnectionOptions& connection, const std::string& group, uint64_t queue_bytes) {
    PN_TRY(auto client, make_client(connection, group, queue_bytes, nullptr));
    return Consumer(std::move(client));
}

Result<Consumer> Consumer::join(const ConnectionOptions& connection, const std::string& group, uint64_t queue_bytes) {
    auto member = std::make_unique<Group>();
    PN_TRY(auto client, make_client(connection, group, queue_bytes, member.get()));
    return Consumer(std::move(client), std::move(member));
}

Consumer::~Consumer() {
    if (group_ != nullptr) group_->close(client_);
}

Result<std::string> Consumer::cluster() const {
    char* id = rd_kafka_clusterid(client_.handle(), client_.timeout_ms());
    if (id == nullptr) return fail(client_.error(RD_KAFKA_RESP_ERR__TIMED_OUT, "asking for the cluster's id"));
    std::string out(id);
    rd_kafka_mem_free(client_.handle(), id);
    return out;
}

Result<std::map<int32_t, OffsetRange>> Consumer::ranges(const std::string& topic) const {
    auto doing = fmt::format("asking for topic {}", topic);
    std::unique_ptr<rd_kafka_topic_t, decltype(&rd_kafka_topic_destroy)> handle(
        rd_kafka_topic_new(client_.handle(), topic.c_str(), nullptr), rd_kafka_topic_destroy);
    const rd_kafka_metadata_t* raw = nullptr;
    if (auto code = rd_kafka_metadata(client_.handle(), 0, handle.get(), &raw, client_.timeout_ms()); code != 0)
        return fail(client_.error(code, doing));
    std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)> metadata(
        raw, rd_kafka_metadata_destroy);
    std::map<int32_t, OffsetRange> out;
    for (int i = 0; i < raw->topic_cnt; ++i) {
        if (raw->topics[i].err != 0) return fail(client_.error(raw->topics[i].err, doing).advise("is its name right?"));
        for (int p = 0; p < raw->topics[i].partition_cnt; ++p) {
            int32_t partition = raw->topics[i].partitions[p].id;
            OffsetRange range{};
            auto code = rd_kafka_query_watermark_offsets(client_.handle(), topic.c_str(), partition, &range.begin,
                                                         &range.end, client_.timeout_ms());
            if (code != 0) return fail(client_.error(code, doing));
            out[partition] = range;
        }
    }
    return out;
}

Result<std::map<int32_t, int64_t>> Consumer::committed(const std::string& topic,
                                                       const std::vector<int32_t>& partitions) const {
    auto list = new_list(partitions.size());
    for (int32_t partition : partitions) rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
    if (auto code = rd_kafka_committed(client_.handle(), list.get(), client_.timeout_ms()); code != 0)
        return fail(client_.error(code, "asking for the group's offsets"));
    std::map<int32_t, int64_t> out;
    for (int i = 0; i < list->cnt; ++i)
        if (list->elems[i].offset >= 0) out[list->elems[i].partition] = list->elems[i].offset;
    return out;
}

Status Consumer::assign(const std::vector<Start>& starts) {
    auto list = new_list(starts.size());
    for (const auto& start : starts)
        rd_kafka_topic_partition_list_add(list.get(), start.topic.c_str(), start.partition)->offset = start.offset;
    if (auto code = rd_kafka_assign(client_.handle(), list.get()); code != 0)
        return fail(client_.error(code, "assigning partitions"));
    heard_at_ = std::chrono::steady_clock::now();
    return {};
}

Status Consumer::subscribe(const std::vector<std::string>& topics) {
    auto list = new_list(topics.size());
    for (const auto& topic : topics)
        rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    if (auto code = rd_kafka_subscribe(client_.handle(), list.get()); code != 0)
        return fail(client_.error(code, "joining the group"));
    heard_at_ = std::chrono::steady_clock::now();
    return {};
}

/// Of brokers that were in trouble: one who has nothing to read hears nothing of its end.
bool Consumer::answers() const {
    const rd_kafka_metadata_t* raw = nullptr;
    if (rd_kafka_metadata(client_.handle(), 0, nullptr, &raw, client_.timeout_ms()) != 0) return false;
    rd_kafka_metadata_destroy(raw);
    return true;
}

Status Consumer::pause(const std::string& topic, int32_t partition) {
    auto list = new_list(1);
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
    if (auto code = rd_kafka_pause_partitions(client_.handle(), list.get()); code != 0)
        return fail(client_.error(code, "pausing a partition"));
    return {};
}

Result<ConsumedMessage> Consumer::poll(int milliseconds) {
    ConsumedMessage message(rd_kafka_consumer_poll(client_.handle(), milliseconds));
    auto now = std::chrono::steady_clock::now();
    bool silent_long = now - heard_at_ > std::chrono::milliseconds(client_.timeout_ms());
    if (!message) {
        if (troubled_ && silent_long) {
            if (!answers()) return fail(client_.error(RD_KAFKA_RESP_ERR__TIMED_OUT, "reading"));
            troubled_ = false;
        }
        return ConsumedMessage();
    }
    if (message->err == 0 || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        heard_at_ = now;
        troubled_ = false;
        return message;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return fail({.kind = ErrorKind::refused,
                     .code = "events_lost",
                     .message = fmt::format("partition {} no longer has the offset to go on with: {}",
                                            message->partition, rd_kafka_message_errstr(message.get())),
                     .hint = "the topic was made anew, or its retention took what was not read: run once with "
                             "--full-refresh, after a new snapshot of the connector"});
    Error error = client_.error(message->err, "reading", rd_kafka_message_errstr(message.get()));
    if (error.kind != ErrorKind::unavailable) return fail(std::move(error));
    // Brokers that went away come back, or the timeout ends it.
    if (!troubled_) heard_at_ = now;
    troubled_ = true;
    if (silent_long && now != heard_at_) return fail(std::move(error));
    return ConsumedMessage();
}

Status Consumer::commit(const TopicPosition& position, bool wait) {
    auto list = new_list(position.partitions.size());
    for (const auto& [partition, at] : position.partitions)
        rd_kafka_topic_partition_list_add(list.get(), position.topic.c_str(), partition)->offset = at.next;
    auto code = rd_kafka_commit(client_.handle(), list.get(), wait ? 0 : 1);
    if (code != 0 && code != RD_KAFKA_RESP_ERR__NO_OFFSET)
        return fail(client_.error(code, "committing the group's offsets")
                        .advise("nothing else may use the group: name another one with `group`"));
    return {};
}

}  // namespace penstock::kafka
