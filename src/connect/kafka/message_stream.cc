#include "connect/kafka/message_stream.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "connect/kafka/client.h"
#include "connect/kafka/topic_checks.h"

namespace penstock::kafka {
namespace {

constexpr int glance_ms = 20;
constexpr int most_at_once = 10'000;

using Ordered = nlohmann::ordered_json;

/// Headers as an object; of several with one name the last. What is no UTF-8 is replaced, the archive has the payload alone.
std::string headers_of(const rd_kafka_message_t& message) {
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != 0) return "";
    Ordered out = Ordered::object();
    const char* name = nullptr;
    const void* bytes = nullptr;
    size_t size = 0;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &bytes, &size) == 0; ++i)
        out[name] = bytes == nullptr ? Ordered() : Ordered(bytes_of(bytes, size));
    return out.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

Error not_a_position(const std::string& why) {
    return {.kind = ErrorKind::refused,
            .code = "other_source",
            .message = "the pipeline's checkpoint is not one of these topics: " + why,
            .hint = "set the source back, or run once with --full-refresh"};
}

}  // namespace

KafkaStream::KafkaStream(ConnectionOptions connection, std::string group, bool may_share,
                         std::vector<std::string> topics, uint64_t memory_bytes)
    : connection_(std::move(connection)),
      group_(std::move(group)),
      may_share_(may_share),
      names_(std::move(topics)),
      memory_bytes_(memory_bytes) {}

Result<int64_t> KafkaStream::connect(std::stop_token) {
    PN_TRY(auto consumer, Consumer::open(connection_, group_, memory_bytes_ / 4));
    consumer_.emplace(std::move(consumer));
    PN_TRY(cluster_, consumer_->cluster());
    int64_t waiting = 0;
    for (const auto& name : names_) {
        PN_TRY(auto ranges, consumer_->ranges(name));
        for (const auto& [partition, range] : ranges) waiting += range.end - range.begin;
        ranges_[name] = std::move(ranges);
    }
    return waiting;
}

/// By topic; those that were taken out of the pipeline are left out.
Result<std::map<std::string, TopicPosition>> KafkaStream::parse(const std::string& position) const {
    auto json = Ordered::parse(position, nullptr, false);
    if (!json.is_array()) return fail(not_a_position("it was written by another kind of source"));
    std::map<std::string, TopicPosition> out;
    for (const auto& entry : json) {
        PN_TRY(auto held, TopicPosition::from_json(entry.dump()));
        if (held.cluster != cluster_) return fail(not_a_position("it is of another cluster, " + held.cluster));
        if (ranges_.contains(held.topic)) out[held.topic] = std::move(held);
    }
    return out;
}

Status KafkaStream::begin(const std::optional<std::string>& position) {
    std::map<std::string, TopicPosition> from;
    if (position) {
        PN_TRY(from, parse(*position));
    }
    if (shared()) return join();
    std::vector<Consumer::Start> starts;
    for (const auto& [topic, ranges] : ranges_) {
        auto& at = positions_[topic];
        if (auto held = from.find(topic); held != from.end()) {
            PN_CHECK(check_offsets(held->second, ranges));
            at = std::move(held->second);
        }
        at.topic = topic;
        at.cluster = cluster_;
        for (const auto& [partition, range] : ranges) {
            if (!at.partitions.contains(partition)) at.partitions[partition].next = range.begin;
            starts.push_back({topic, partition, at.partitions[partition].next});
        }
    }
    return consumer_->assign(starts);
}

void KafkaStream::take(const rd_kafka_message_t& message, flow::MessageBatch& batch) {
    std::string_view topic = rd_kafka_topic_name(message.rkt);
    auto& of_topic = positions_.find(topic)->second.partitions;
    auto found = of_topic.find(message.partition);
    if (found == of_topic.end()) return;  // it has been let go of
    auto& at = found->second;
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        at.next = std::max(at.next, message.offset);
        ended_.emplace(topic, message.partition);
        return;
    }
    if (message.offset < at.next) return;
    at.next = message.offset + 1;
    at.last = message.offset;
    taken_ = true;
    auto& texts = batch.texts;
    batch.messages.push_back({.payload = texts.keep(bytes_of(message.payload, message.len)),
                              .key = texts.keep(bytes_of(message.key, message.key_len)),
                              .attributes = texts.keep(headers_of(message)),
                              .position = texts.keep(fmt::format("{}/{}/{}", topic, message.partition, message.offset)),
                              .sent_micros = rd_kafka_message_timestamp(&message, nullptr) * 1000,
                              .received_micros = now().time_since_epoch().count()});
}

Status KafkaStream::receive(flow::MessageBatch& batch, uint64_t most_bytes) {
    if (shared()) PN_CHECK(answer());
    PN_TRY(auto message, consumer_->poll(glance_ms));
    for (int i = 0; message; ++i) {
        take(*message, batch);
        if (i == most_at_once || batch.bytes() >= most_bytes || (shared() && consumer_->change())) break;
        PN_TRY(auto following, consumer_->poll(0));
        message = std::move(following);
    }
    return {};
}

bool KafkaStream::drained() const {
    asked_ = true;
    return part_drained() && (!shared() || elsewhere_);
}

/// Of what is ours.
bool KafkaStream::part_drained() const {
    if (shared() && (!joined_ || consumer_->change())) return false;
    for (const auto& [topic, held] : positions_)
        for (const auto& [partition, at] : held.partitions) {
            const auto& ranges = ranges_.at(topic);
            auto range = ranges.find(partition);
            if (range != ranges.end() && at.next < range->second.end && !ended_.contains({topic, partition}))
                return false;
        }
    return true;
}

std::string KafkaStream::position() {
    Ordered out = Ordered::array();
    for (const auto& [topic, position] : positions_) out.push_back(Ordered::parse(position.to_json()));
    return out.dump();
}

/// The group's offsets are for tools that show lag: the target's checkpoint decides where a run begins.
Status KafkaStream::confirm(const std::string& position) {
    for (const auto& entry : Ordered::parse(position)) {
        PN_TRY(auto at, TopicPosition::from_json(entry.dump()));
        for (const auto& [partition, reached] : at.partitions)
            if (shared()) durable_[{at.topic, partition}] = reached.next;
        PN_CHECK(consumer_->commit(at, false));
    }
    taken_ = false;
    return {};
}

}  // namespace penstock::kafka
