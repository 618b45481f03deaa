#include "connect/kafka/event_batch.h"

#include <cstring>

#include "connect/kafka/client.h"

namespace penstock::kafka {
namespace {

/// The key in a header: with a schema where the header converter writes one.
std::string_view key_of_header(std::string_view header) {
    debezium::Splitter splitter;
    auto split = splitter.split(header);
    return split ? split->payload : std::string_view();
}

}  // namespace

uint64_t digest_of(const Taken& taken) {
    uint64_t hash = 0xcbf29ce484222325;
    auto mix = [&](std::string_view bytes) {
        for (char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
        hash = (hash ^ 0xff) * 0x100000001b3;
    };
    mix({reinterpret_cast<const char*>(&taken.micros), sizeof taken.micros});
    mix(taken.key);
    mix(taken.value);
    return hash;
}

Taken EventBatch::take(const rd_kafka_message_t& message) {
    Taken out{.partition = message.partition,
              .offset = message.offset,
              .micros = rd_kafka_message_timestamp(&message, nullptr) * 1000,
              .key = texts_.keep(bytes_of(message.key, message.key_len)),
              .value = texts_.keep(bytes_of(message.payload, message.len)),
              .has_value = message.payload != nullptr,
              .old_key = {},
              .new_key = {},
              .unsent = {}};
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != 0) return out;
    const char* name = nullptr;
    const void* bytes = nullptr;
    size_t size = 0;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &bytes, &size) == 0; ++i) {
        std::string_view header(name);
        if (header == "__debezium.oldkey") out.old_key = key_of_header(texts_.keep(bytes_of(bytes, size)));
        else if (header == "__debezium.newkey") out.new_key = key_of_header(texts_.keep(bytes_of(bytes, size)));
        else if (header == "__penstock.unavailable") out.unsent = texts_.keep(bytes_of(bytes, size));
    }
    return out;
}

void EventBatch::advance(const Taken& taken, TopicPosition& position) {
    auto& at = position.partitions[taken.partition];
    at.next = taken.offset + 1;
    at.last = taken.offset;
}

bool EventBatch::follows_delete(int32_t partition, const std::string& key) const {
    auto last = last_.find(partition);
    if (last == last_.end() || last->second.key != key) return false;
    return last->second.deleted || (!last->second.value.empty() && debezium::operation_of(last->second.value) == 'd');
}

/// Rows that move from key to key, as flow/change.h wants them.
void EventBatch::follow(const Taken& taken, const std::string& key, debezium::Event& event) {
    if (!taken.new_key.empty() && !event.value.empty()) {
        leaving_[debezium::canonical(taken.new_key)] = taken.partition;
        return;
    }
    if (!taken.old_key.empty() && !event.value.empty()) {
        event.moved = true;
        auto left = leaving_.find(key);
        bool ordered = !several_ || (left != leaving_.end() && left->second == taken.partition);
        if (left != leaving_.end()) leaving_.erase(left);
        auto known = moved_.extract(debezium::canonical(taken.old_key));
        moved_.erase(key);
        if (!ordered) return;
        Moved moved = known.empty() ? Moved{++identities_, taken.old_key} : known.mapped();
        moved_[key] = moved;
        event.identity = moved.identity;
        event.origin = moved.origin;
        return;
    }
    if (moved_.empty()) return;
    auto known = moved_.find(key);
    if (known == moved_.end()) return;
    event.identity = known->second.identity;
    event.origin = known->second.origin;
    if (event.value.empty() || debezium::operation_of(event.value) == 'd') moved_.erase(known);
}

void EventBatch::add(const Taken& taken, const debezium::Split& key, const debezium::Split& value,
                     TopicPosition& position) {
    ++messages_;
    advance(taken, position);
    std::string name = debezium::canonical(key.payload);
    bool said = value.payload.empty() && (key.payload.empty() || follows_delete(taken.partition, name));
    last_[taken.partition] = {.key = name, .value = value.payload, .deleted = said};
    if (said) return;
    BatchedEvent out{.event = {.key = key.payload,
                               .value = value.payload,
                               .position = position.order_of(taken.offset),
                               .received_micros = taken.micros,
                               .unsent = taken.unsent},
                     .partition = taken.partition,
                     .offset = taken.offset,
                     .whole = taken.value,
                     .broken = {}};
    follow(taken, name, out.event);
    events.push_back(std::move(out));
}

void EventBatch::add_broken(const Taken& taken, const Error& why, TopicPosition& position) {
    ++messages_;
    advance(taken, position);
    last_.erase(taken.partition);
    events.push_back({.event = {.key = taken.key, .value = taken.value},
                      .partition = taken.partition,
                      .offset = taken.offset,
                      .whole = taken.value,
                      .broken = texts_.keep(why.message)});
}

void EventBatch::remember(const Taken& taken, const debezium::Split& key, const debezium::Split& value) {
    bool deleted = !value.payload.empty() && debezium::operation_of(value.payload) == 'd';
    last_[taken.partition] = {.key = debezium::canonical(key.payload), .value = {}, .deleted = deleted};
}

std::unique_ptr<EventBatch> EventBatch::next() const {
    auto out = std::make_unique<EventBatch>(several_);
    for (const auto& [partition, last] : last_) {
        bool deleted = last.deleted || (!last.value.empty() && debezium::operation_of(last.value) == 'd');
        out->last_[partition] = {.key = last.key, .value = {}, .deleted = deleted};
    }
    return out;
}

}  // namespace penstock::kafka
