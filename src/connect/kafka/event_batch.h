#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <librdkafka/rdkafka.h>

#include "connect/kafka/topic_position.h"
#include "flow/text_store.h"
#include "transform/debezium/decode.h"

namespace penstock::kafka {

/// One message of a segment.
struct BatchedEvent {
    debezium::Event event;
    int32_t partition;
    int64_t offset;
    std::string_view whole;   ///< the message's value, for a reject
    std::string_view broken;  ///< why it could not be divided, or ""
};

/// A message in our memory.
struct Taken {
    int32_t partition;
    int64_t offset;
    int64_t micros;  ///< the message's own time
    std::string_view key, value;
    bool has_value;
    std::string_view old_key, new_key, unsent;  ///< of the headers
};

/// The events of one table until their segment is durable, and what must be known of those before them.
class EventBatch {
  public:
    /// Several partitions: offsets of two of them say nothing about each other.
    explicit EventBatch(bool several) : several_(several) {}

    /// The message in memory of the batch; it need not be added.
    Taken take(const rd_kafka_message_t& message);
    /// `key` and `value` are divided; positions come from `position`, which is moved on.
    void add(const Taken& taken, const debezium::Split& key, const debezium::Split& value, TopicPosition& position);
    /// A message that is no JSON.
    void add_broken(const Taken& taken, const Error& why, TopicPosition& position);
    /// Of a message that was read before this run: it may be a delete that a tombstone follows.
    void remember(const Taken& taken, const debezium::Split& key, const debezium::Split& value);

    /// A row is on its way from one key to another: its delete is here, its create is not.
    bool between_keys() const { return !leaving_.empty(); }

    uint64_t bytes() const { return texts_.bytes() + events.size() * sizeof(BatchedEvent); }
    size_t messages() const { return messages_; }
    std::vector<BatchedEvent> events;

    /// What the batch after this one must know.
    std::unique_ptr<EventBatch> next() const;

  private:
    struct Moved {
        int64_t identity;
        std::string_view origin;
    };
    struct Last {
        std::string key;
        std::string_view value;
        bool deleted = false;  ///< known to be a delete, when `value` is gone
    };

    bool follows_delete(int32_t partition, const std::string& key) const;
    void follow(const Taken& taken, const std::string& key, debezium::Event& event);
    static void advance(const Taken& taken, TopicPosition& position);

    bool several_;
    flow::TextStore texts_;
    size_t messages_ = 0;
    std::map<int32_t, Last> last_;
    std::map<std::string, int32_t>
        leaving_;  // new keys of rows whose create is not here yet, with the partition of the delete
    std::map<std::string, Moved> moved_;  // by the key they have now
    int64_t identities_ = 0;
};

/// Of key, value and time: FNV-1a.
uint64_t digest_of(const Taken& taken);

}  // namespace penstock::kafka
