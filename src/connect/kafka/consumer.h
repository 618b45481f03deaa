#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connect/kafka/client.h"
#include "connect/kafka/group.h"
#include "connect/kafka/topic_position.h"

namespace penstock::kafka {

struct MessageDeleter {
    void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using ConsumedMessage = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

/// Offsets of a partition: [begin, end).
struct OffsetRange {
    int64_t begin;
    int64_t end;
};

/// Reads partitions that it assigns itself, or that a group gives it, committed messages only. One thread.
class Consumer {
  public:
    /// `queue_bytes` bounds what is fetched ahead.
    static Result<Consumer> open(const ConnectionOptions& connection, const std::string& group, uint64_t queue_bytes);
    /// One that shares the topics with the others of the group.
    static Result<Consumer> join(const ConnectionOptions& connection, const std::string& group, uint64_t queue_bytes);
    ~Consumer();
    Consumer(Consumer&&) noexcept = default;
    Consumer& operator=(Consumer&&) = delete;

    Result<std::string> cluster() const;
    /// By partition; an error where the topic does not exist.
    Result<std::map<int32_t, OffsetRange>> ranges(const std::string& topic) const;
    /// What the group has committed of these partitions; those without are left out.
    Result<std::map<int32_t, int64_t>> committed(const std::string& topic,
                                                 const std::vector<int32_t>& partitions) const;

    struct Start {
        std::string topic;
        int32_t partition;
        int64_t offset;
    };
    /// From here on poll() gives these, from there on.
    Status assign(const std::vector<Start>& starts);
    /// Of one that has joined: poll() gives what the group's changes, each once it is answered, bring.
    Status subscribe(const std::vector<std::string>& topics);
    const std::optional<Group::Change>& change() const { return group_->change(); }
    Status accept(const std::vector<int64_t>& offsets) { return group_->accept(client_, offsets); }
    Status release() { return group_->release(client_); }
    Status pause(const std::string& topic, int32_t partition);

    /// The next message, one with `err` RD_KAFKA_RESP_ERR__PARTITION_EOF and the offset where the partition ends now, or null
    /// after the wait. Silence of the brokers is an error once it has lasted the connection's timeout.
    Result<ConsumedMessage> poll(int milliseconds);

    /// The group's offsets; `wait` for the brokers' answer.
    Status commit(const TopicPosition& position, bool wait);

  private:
    explicit Consumer(Client client, std::unique_ptr<Group> group = nullptr)
        : group_(std::move(group)), client_(std::move(client)) {}
    static Result<Client> make_client(const ConnectionOptions& connection, const std::string& group,
                                      uint64_t queue_bytes, Group* member);
    bool answers() const;

    std::unique_ptr<Group> group_;  ///< of one that has joined; the client calls it
    Client client_;
    std::chrono::steady_clock::time_point heard_at_ = std::chrono::steady_clock::now();
    bool troubled_ = false;
};

}  // namespace penstock::kafka
