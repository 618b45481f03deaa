#pragma once

#include <chrono>
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
#include "flow/shared_messages.h"

namespace penstock::kafka {

/// The messages of topics, all partitions of which are this process's, or those that a group gives it. Committed transactions only.
///
/// Of a group: a partition that is given goes on from the target's newest position. One that another process is to have is kept
/// until what was read of it is committed (hurried), then let go of. Where partitions may be another's already, what was read
/// is thrown away, and the attempt ends.
class KafkaStream : public flow::MessageStream, public flow::SharedMessages {
  public:
    /// `may_share`: the group was named, so that other processes may be in it.
    KafkaStream(ConnectionOptions connection, std::string group, bool may_share, std::vector<std::string> topics,
                uint64_t memory_bytes);

    Result<int64_t> connect(std::stop_token stop) override;
    Status begin(const std::optional<std::string>& position) override;
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override;
    bool drained() const override;
    std::string position() override;
    Status confirm(const std::string& position) override;

    bool may_share() const override { return may_share_; }
    void share(Newest newest) override { newest_ = std::move(newest); }
    Result<std::string> merge(const std::optional<std::string>& newest) override;
    bool part_drained() const override;
    bool hurried() const override;

  private:
    using Partition = std::pair<std::string, int32_t>;

    bool shared() const { return newest_ != nullptr; }
    Status answer();
    Status take_over();
    Status look_elsewhere();
    Result<int64_t> start_of(const Partition& which, const std::map<std::string, TopicPosition>& newest);
    Result<std::map<std::string, TopicPosition>> parse(const std::string& position) const;
    Status join();
    void take(const rd_kafka_message_t& message, flow::MessageBatch& batch);

    ConnectionOptions connection_;
    std::string group_;
    bool may_share_;
    std::vector<std::string> names_;
    uint64_t memory_bytes_;
    std::optional<Consumer> consumer_;
    std::string cluster_;
    std::map<std::string, std::map<int32_t, OffsetRange>> ranges_;  // when the run began
    std::map<std::string, TopicPosition, std::less<>> positions_;
    std::set<Partition> ended_;  // at their end for now

    // -- of a group
    Newest newest_;
    bool joined_ = false;         // the group has said what is ours, if it is nothing
    bool taken_ = false;          // something since the last commit
    mutable bool asked_ = false;  // somebody wants to know whether all is drained
    bool elsewhere_ = false;      // what others have was, when it was last looked at
    std::chrono::steady_clock::time_point next_look_ = {};
    std::map<Partition, int64_t> durable_;  // where the target is with ours; -1: it has nothing of it
};

}  // namespace penstock::kafka
