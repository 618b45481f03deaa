#include "connect/kafka/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/failpoint.h"
#include "base/log.h"

namespace penstock::kafka {
namespace {

using Clock = std::chrono::steady_clock;

/// As of a replication slot's stream: a commit of the target is worth one when there is much, or the first has waited.
constexpr size_t segment_events = 500'000;
constexpr auto most_latency = std::chrono::milliseconds(500);
/// A row that moves to another key has both of its events in one segment, unless the second takes longer than this.
constexpr auto most_between_keys = std::chrono::seconds(5);
constexpr auto between_looks = std::chrono::milliseconds(500);
constexpr int poll_ms = 20;

Error stopped_waiting() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while waiting for events"};
}

Error table_changed(const std::string& table, std::string message) {
    return {.kind = ErrorKind::unavailable,
            .code = "table_changed",
            .message = std::move(message),
            .where = "table " + table,
            .hint = "what came before is in the target; a retry sees the new shape"};
}

}  // namespace

Result<std::vector<flow::TableInfo>> EventSource::discover(std::stop_token stop) {
    stop_ = stop;
    PN_FAILPOINT(source_connect_before);
    PN_TRY(auto consumer, Consumer::open(options_.connection, options_.group, options_.memory_bytes / 4));
    consumer_.emplace(std::move(consumer));
    while (true) {
        PN_CHECK(look_at_topics());
        // Nothing to plan: whoever follows waits for the first event.
        if (!topics_.empty() || !options_.follow) break;
        if (stop_.stop_requested()) return fail(stopped_waiting());
        std::this_thread::sleep_for(between_looks);
    }
    for (const auto& topic : unborn_) log::info("topic {} has no events yet: it is left out until it has", topic);
    std::vector<flow::TableInfo> tables;
    for (const auto& topic : topics_) tables.push_back(topic->info());
    return tables;
}

Status EventSource::look_at_topics() {
    unborn_.clear();
    for (const auto& name : options_.source.topics) {
        PN_TRY(auto ranges, consumer_->ranges(name.value));
        std::vector<int32_t> partitions;
        for (const auto& [partition, range] : ranges) partitions.push_back(partition);
        PN_TRY(auto hint, consumer_->committed(name.value, partitions));
        debezium::DecodeOptions decoding{.decimals = options_.source.decimals,
                                         .times = options_.source.times,
                                         .intervals = options_.source.intervals,
                                         .binaries = options_.source.binaries,
                                         .unavailable = options_.source.unavailable,
                                         .columns = columns_for(options_.source, table_of_topic(name.value)),
                                         .policies = options_.policies,
                                         .holds = options_.holds};
        PN_TRY(auto sample, sample_topic(*consumer_, name.value, ranges, hint, decoding, stop_));
        if (!sample) {
            unborn_.push_back(name.value);
            continue;
        }
        if (sample->table->key.empty() && ranges.size() > 1)
            return fail(
                {.kind = ErrorKind::configuration,
                 .code = "keyless_partitions",
                 .message = fmt::format("messages of topic {} have no key and {} partitions: nothing orders the "
                                        "changes of a row",
                                        name.value, ranges.size()),
                 .where = name.place.text(),
                 .hint = "give the topic one partition, or the table a key (message.key.columns of the connector)"});
        int64_t left = 0;
        for (const auto& [partition, range] : ranges)
            left += range.end -
                    (hint.contains(partition) ? std::clamp(hint[partition], range.begin, range.end) : range.begin);
        auto table = *sample->table;
        table.info.estimated_rows = left;
        sample->table = std::make_shared<const debezium::EventTable>(std::move(table));
        topics_.push_back(std::make_unique<Topic>(name.value, std::move(*sample), std::move(ranges)));
    }
    return {};
}

Status EventSource::open(std::vector<flow::TableRead> tables) {
    PN_TRY(auto cluster, consumer_->cluster());
    read_.assign(topics_.size(), false);
    for (auto& read : tables) {
        read_[read.table] = true;
        PN_CHECK(topics_[read.table]->begin(read.from, cluster, read.context));
    }
    return assign();
}

Status EventSource::assign() {
    std::vector<Consumer::Start> starts;
    for (size_t i = 0; i < topics_.size(); ++i)
        if (read_[i]) std::ranges::move(topics_[i]->starts(), std::back_inserter(starts));
    for (const auto& topic : unborn_) {
        PN_TRY(auto ranges, consumer_->ranges(topic));
        for (const auto& [partition, range] : ranges) starts.push_back({topic, partition, range.begin});
    }
    return consumer_->assign(starts);
}

Topic* EventSource::topic_of(const rd_kafka_message_t& message) {
    std::string_view name = rd_kafka_topic_name(message.rkt);
    for (const auto& topic : topics_)
        if (topic->name() == name) return topic.get();
    return nullptr;
}

Status EventSource::receive() {
    PN_TRY(auto message, consumer_->poll(poll_ms));
    // Whatever is there already, without a look at the clock.
    for (int i = 0; message; ++i) {
        auto* topic = topic_of(*message);
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            if (topic != nullptr) topic->ended(message->partition, message->offset);
        } else if (topic == nullptr) {
            if (message->payload != nullptr)
                return fail(
                    table_changed(table_of_topic(rd_kafka_topic_name(message->rkt)),
                                  fmt::format("topic {} has its first event", rd_kafka_topic_name(message->rkt))));
        } else {
            PN_FAILPOINT(changes_receive_after);
            PN_TRY(auto got, topic->take(*message));
            if (got == Topic::Got::held) PN_CHECK(consumer_->pause(topic->name(), message->partition));
        }
        if (i == 1000 || full()) break;
        PN_TRY(auto following, consumer_->poll(0));
        message = std::move(following);
    }
    return {};
}

bool EventSource::full() const {
    uint64_t bytes = 0;
    for (const auto& topic : topics_) bytes += topic->batch().bytes();
    return bytes >= options_.memory_bytes / 2;
}

bool EventSource::enough(Clock::time_point since) const {
    size_t events = 0;
    bool moving = false;
    for (const auto& topic : topics_) {
        events += topic->batch().messages();
        moving |= topic->batch().between_keys();
    }
    if (moving && Clock::now() - since < most_between_keys) return false;
    return events >= segment_events || full() || Clock::now() - since >= most_latency;
}

bool EventSource::drained() const {
    for (size_t i = 0; i < topics_.size(); ++i)
        if (read_[i] && !topics_[i]->drained()) return false;
    return true;
}

/// Asked when nothing is under way. What the group shows is where the next attempt looks for the shape.
Status EventSource::check_changed() {
    for (size_t i = 0; i < topics_.size(); ++i) {
        auto& topic = *topics_[i];
        if (!read_[i] || !topic.must_change()) continue;
        if (topic.refusal()) return fail(*topic.refusal());
        PN_CHECK(consumer_->commit(topic.position(), true));
        return fail(
            table_changed(topic.info().name, fmt::format("the events of topic {} have new columns", topic.name())));
    }
    return {};
}

Status EventSource::let_in_added() {
    bool let = false;
    for (size_t i = 0; i < topics_.size(); ++i) let |= read_[i] && topics_[i]->let_in();
    return let ? assign() : Status();
}

flow::Segment EventSource::segment() {
    flow::Segment out;
    for (size_t i = 0; i < topics_.size(); ++i)
        if (read_[i] && topics_[i]->has_part()) out.parts.push_back(topics_[i]->part(i));
    return out;
}

Result<std::optional<flow::Segment>> EventSource::next() {
    std::optional<Clock::time_point> since;
    while (true) {
        if (stop_.stop_requested()) return fail(stopped_waiting());
        PN_CHECK(receive());
        bool any = std::ranges::any_of(topics_, [](const auto& topic) { return topic->has_part(); });
        if (any) {
            if (!since) since = Clock::now();
            bool waits = std::ranges::any_of(topics_, [](const auto& topic) { return topic->must_change(); });
            if (enough(*since) || waits || (!options_.follow && drained())) return segment();
            continue;
        }
        PN_CHECK(check_changed());
        PN_CHECK(let_in_added());
        if (!options_.follow && drained()) {
            for (size_t i = 0; i < topics_.size(); ++i)
                if (auto done = read_[i] ? consumer_->commit(topics_[i]->position(), true) : Status(); !done)
                    log::warning("{}", done.error().message);
            return std::nullopt;
        }
    }
}

Status EventSource::confirm(size_t, const flow::Checkpoint& durable) {
    PN_TRY(auto position, TopicPosition::from_json(durable.position));
    return consumer_->commit(position, false);
}

}  // namespace penstock::kafka
