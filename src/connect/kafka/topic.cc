#include "connect/kafka/topic.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"

namespace penstock::kafka {

Topic::Topic(std::string name, Sample sample, std::map<int32_t, OffsetRange> ranges)
    : name_(std::move(name)),
      sample_(std::move(sample)),
      ranges_(std::move(ranges)),
      batch_(std::make_unique<EventBatch>(ranges_.size() > 1)) {}

Status Topic::begin(const std::optional<flow::Checkpoint>& from, const std::string& cluster,
                    flow::ScanContext context) {
    context_.emplace(context);
    position_ = {.topic = name_, .cluster = cluster};
    if (!from) {
        for (const auto& [partition, range] : ranges_) {
            position_.partitions[partition].next = range.begin;
            if (range.begin > 0)
                log::warning(
                    "topic {} no longer has its first {} messages of partition {}: rows that did not change since are "
                    "not in it",
                    name_, range.begin, partition);
        }
        return {};
    }
    auto held = TopicPosition::from_json(from->position);
    if (!held) return fail(std::move(held.error()).at("table " + info().name));
    PN_CHECK(check_begin(*held));
    position_ = std::move(*held);
    for (const auto& [partition, at] : position_.partitions)
        if (at.last >= ranges_.at(partition).begin) anchors_[partition] = at;
    for (const auto& [partition, range] : ranges_)
        if (!position_.partitions.contains(partition)) added_.insert(partition);
    return {};
}

Status Topic::check_begin(const TopicPosition& held) const {
    if (held.topic != name_ || held.cluster != position_.cluster)
        return fail({.kind = ErrorKind::refused,
                     .code = "other_topic",
                     .message = fmt::format("the table was loaded from topic {} of cluster {}, not from {} of {}",
                                            held.topic, held.cluster, name_, position_.cluster),
                     .where = "table " + info().name,
                     .hint = "set the topic back, or run once with --full-refresh"});
    return check_offsets(held, ranges_);
}

std::vector<Consumer::Start> Topic::starts() const {
    std::vector<Consumer::Start> out;
    for (const auto& [partition, at] : position_.partitions) {
        auto anchor = anchors_.find(partition);
        out.push_back({name_, partition, anchor == anchors_.end() ? at.next : anchor->second.last});
    }
    return out;
}

/// The message that was taken last, met again; nothing of it is added.
Result<bool> Topic::is_anchor(const rd_kafka_message_t& message, const Taken& taken) {
    auto anchor = anchors_.find(message.partition);
    if (anchor == anchors_.end()) return false;
    auto before = anchor->second;
    anchors_.erase(anchor);
    if (message.offset != before.last) return message.offset < before.next;  // compaction took it
    if (digest_of(taken) != before.digest)
        return fail(gone(name_, message.partition,
                         fmt::format("offset {} has another message than the one that was read there: it "
                                     "was made anew",
                                     before.last)));
    auto key = keys_.split(taken.key), value = values_.split(taken.value);
    if (key || taken.key.empty())
        batch_->remember(taken, key.value_or(debezium::Split{}), value.value_or(debezium::Split{}));
    return true;
}

Result<bool> Topic::same_shape(const debezium::Split& key, const debezium::Split& value) {
    // A tombstone; a truncate, or what has no key where others have one.
    if (value.payload.empty() || (key.payload.empty() && !sample_.table->key.empty())) return true;
    if (value.schema == known_schema_ && key.schema == known_key_schema_) return true;
    const auto& table = *sample_.table;
    if (value.schema.empty() != !table.with_schema) return false;
    if (debezium::operation_of(value.payload) == 'm') return true;
    if (table.with_schema) {
        auto other = debezium::EventTable::make(table.info.name, value.schema, key, value.payload, table.options);
        if (!other) return fail(std::move(other.error()));
        if (!table.same_shape(*other)) return false;
    }
    known_schema_ = value.schema;
    known_key_schema_ = key.schema;
    return true;
}

Result<Topic::Got> Topic::take(const rd_kafka_message_t& message) {
    if (waiting_.contains(message.partition)) return Got::held;
    done_.erase(message.partition);
    Taken taken = batch_->take(message);
    PN_TRY(bool old, is_anchor(message, taken));
    if (old || message.offset < position_.partitions[message.partition].next) return Got::taken;
    auto key = taken.key.empty() ? Result<debezium::Split>(debezium::Split{}) : keys_.split(taken.key);
    auto value = taken.value.empty() ? Result<debezium::Split>(debezium::Split{}) : values_.split(taken.value);
    if (!key || !value) {
        batch_->add_broken(taken, !key ? key.error() : value.error(), position_);
    } else {
        auto same = same_shape(*key, *value);
        if (!same || !*same) {
            auto of = debezium::table_of(value->payload);
            if (!same) refusal_ = std::move(same.error());
            else if (!of.empty() && !sample_.source_table.empty() && of != sample_.source_table)
                refusal_ = Error{
                    .kind = ErrorKind::configuration,
                    .code = "several_tables",
                    .message = fmt::format("topic {} has changes of {} and of {}", name_, sample_.source_table, of),
                    .where = fmt::format("{}/{}/{}", name_, message.partition, message.offset),
                    .hint = "one topic must be one table: leave out the transform that brings them together"};
            waiting_.insert(message.partition);
            return Got::held;
        }
        batch_->add(taken, *key, *value, position_);
    }
    newest_.insert_or_assign(message.partition, taken);
    return Got::taken;
}

void Topic::ended(int32_t partition, int64_t offset) {
    if (waiting_.contains(partition)) return;  // what it holds was not taken
    auto& at = position_.partitions[partition];
    at.next = std::max(at.next, offset);
    anchors_.erase(partition);
    done_.insert(partition);
}

bool Topic::drained() const {
    if (!added_.empty() || !anchors_.empty()) return false;
    return std::ranges::all_of(position_.partitions, [&](const auto& entry) {
        return entry.second.next >= ranges_.at(entry.first).end || done_.contains(entry.first);
    });
}

bool Topic::must_change() const {
    if (waiting_.empty()) return false;
    return std::ranges::all_of(position_.partitions, [&](const auto& entry) {
        return waiting_.contains(entry.first) || done_.contains(entry.first);
    });
}

/// A key that moved to an added partition has its older changes in another: those must be in the target first, and sort lower.
bool Topic::let_in() {
    if (added_.empty() || !waiting_.empty() || batch_->messages() > 0) return false;
    for (const auto& [partition, at] : position_.partitions)
        if (at.next < ranges_.at(partition).end && !done_.contains(partition)) return false;
    ++position_.generation;
    for (int32_t partition : added_) position_.partitions[partition].next = ranges_.at(partition).begin;
    added_.clear();
    return true;
}

flow::Part Topic::part(size_t table) {
    for (const auto& [partition, taken] : newest_) position_.partitions[partition].digest = digest_of(taken);
    newest_.clear();
    auto following = batch_->next();
    EventPart part{
        .table = sample_.table,
        .batch = std::move(batch_),
        .topic = name_,
        .several_partitions = ranges_.size() > 1,
        .context = *context_,
        .checkpoint = {.cursor_from = "", .cursor_to = "", .position = position_.to_json(), .read_at = now()}};
    batch_ = std::move(following);
    return {.table = table, .scan = std::make_unique<EventScan>(std::move(part)), .last = false};
}

}  // namespace penstock::kafka
