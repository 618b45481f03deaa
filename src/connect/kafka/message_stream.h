#pragma once

#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "connect/kafka/consumer.h"
#include "connect/kafka/topic_position.h"
#include "flow/messages.h"

namespace penstock::kafka {

/// The messages of topics, all partitions of which are this process's. Committed transactions only.
class KafkaStream : public flow::MessageStream {
  public:
    KafkaStream(ConnectionOptions connection, std::string group, std::vector<std::string> topics,
                uint64_t memory_bytes);

    Result<int64_t> connect(std::stop_token stop) override;
    Status begin(const std::optional<std::string>& position) override;
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override;
    bool drained() const override;
    std::string position() override;
    Status confirm(const std::string& position) override;

  private:
    Status resume(const std::string& position);
    void take(const rd_kafka_message_t& message, flow::MessageBatch& batch);

    ConnectionOptions connection_;
    std::string group_;
    std::vector<std::string> names_;
    uint64_t memory_bytes_;
    std::optional<Consumer> consumer_;
    std::string cluster_;
    std::map<std::string, std::map<int32_t, OffsetRange>> ranges_;  // when the run began
    std::map<std::string, TopicPosition, std::less<>> positions_;
    std::set<std::pair<std::string, int32_t>> ended_;  // at their end for now
};

}  // namespace penstock::kafka
