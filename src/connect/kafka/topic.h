#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "connect/kafka/consumer.h"
#include "connect/kafka/event_batch.h"
#include "connect/kafka/event_scan.h"
#include "connect/kafka/source_options.h"
#include "connect/kafka/topic_checks.h"
#include "flow/source.h"

namespace penstock::kafka {

/// What an event says of its table, kept while the topic is sampled.
struct Sample {
    std::shared_ptr<const debezium::EventTable> table;
    std::string source_table;  ///< of the event's source block
};

/// One topic on its way into one table: from messages to batches, in the order of each partition.
class Topic {
  public:
    Topic(std::string name, Sample sample, std::map<int32_t, OffsetRange> ranges);

    const std::string& name() const { return name_; }
    const flow::TableInfo& info() const { return sample_.table->info; }
    TopicPosition& position() { return position_; }

    /// Where to begin: at the checkpoint, which must be one of this very topic, or at the first message there is.
    Status begin(const std::optional<flow::Checkpoint>& from, const std::string& cluster, flow::ScanContext context);
    /// What is to be assigned. The newest message taken comes again, to see that it is the same.
    std::vector<Consumer::Start> starts() const;

    enum class Got {
        taken,
        held,  ///< an event of another shape: its partition must wait
    };
    Result<Got> take(const rd_kafka_message_t& message);
    /// The partition has nothing more now.
    void ended(int32_t partition, int64_t offset);

    /// Every partition is where it ended when the run began, or waits.
    bool drained() const;
    /// A partition waits for another shape, and no other has anything to take before.
    bool must_change() const;
    /// Partitions that were added wait until the others are where they ended then; this lets them in.
    bool let_in();
    /// Of an event of another shape: whether it is of another table, which no retry mends.
    const std::optional<Error>& refusal() const { return refusal_; }

    const EventBatch& batch() const { return *batch_; }
    bool has_part() const { return batch_->messages() > 0; }
    flow::Part part(size_t table);

  private:
    Status check_begin(const TopicPosition& held) const;
    Result<bool> is_anchor(const rd_kafka_message_t& message, const Taken& taken);
    Result<bool> same_shape(const debezium::Split& key, const debezium::Split& value);

    std::string name_;
    Sample sample_;
    std::map<int32_t, OffsetRange> ranges_;  // when the run began
    TopicPosition position_;
    std::map<int32_t, PartitionPosition> anchors_;  // not met yet
    std::map<int32_t, Taken> newest_;               // of the batch
    std::set<int32_t> waiting_;                     // for another shape
    std::set<int32_t> added_;                       // for the others
    std::set<int32_t> done_;                        // at their end for now
    std::optional<flow::ScanContext> context_;
    std::unique_ptr<EventBatch> batch_;
    debezium::Splitter keys_, values_;
    std::string known_schema_, known_key_schema_;
    std::optional<Error> refusal_;
};

/// The table of the first event of the topic from `hint` on, else of the newest there is; nothing in a topic without events.
Result<std::optional<Sample>> sample_topic(Consumer& consumer, const std::string& topic,
                                           const std::map<int32_t, OffsetRange>& ranges,
                                           const std::map<int32_t, int64_t>& hint,
                                           const debezium::DecodeOptions& options, std::stop_token stop);

}  // namespace penstock::kafka
