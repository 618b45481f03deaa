#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/kafka/consumer.h"
#include "connect/kafka/source_options.h"
#include "connect/kafka/topic.h"
#include "flow/source.h"

namespace penstock::kafka {

/// What a source works from; copied out of the configuration.
struct EventSourceOptions {
    ConnectionOptions connection;
    SourceOptions source;
    config::TypePolicies policies;
    data::Holds holds;
    std::string group;
    uint64_t memory_bytes = 0;
    bool follow = false;  ///< go on when everything was read
};

/// Topics of change events, each a table:
///
///     discover   an event of each topic, from where the group is: the table's columns and key
///     open       partitions, from the target's checkpoint on
///     next       events of all topics as they come, until there are enough or the first has waited
///     confirm    the group's offsets follow what is durable
///
/// All partitions are this process's. Events of another shape end the attempt: the group's offsets show the next one where to
/// look.
class EventSource : public flow::Source {
  public:
    explicit EventSource(EventSourceOptions options) : options_(std::move(options)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t table, const flow::Checkpoint& durable) override;

  private:
    Status look_at_topics();
    Status receive();
    Topic* topic_of(const rd_kafka_message_t& message);
    bool full() const;
    bool enough(std::chrono::steady_clock::time_point since) const;
    bool drained() const;
    Status let_in_added();
    Status check_changed();
    flow::Segment segment();
    Status assign();

    EventSourceOptions options_;
    std::stop_token stop_;
    std::optional<Consumer> consumer_;
    std::vector<std::unique_ptr<Topic>> topics_;
    std::vector<bool> read_;           ///< those that open() was given
    std::vector<std::string> unborn_;  ///< without an event yet
};

}  // namespace penstock::kafka
