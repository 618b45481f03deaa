#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "connect/kafka/client.h"

namespace penstock::kafka {

struct ProducerSettings {
    std::string transactional_id;
    std::string compression = "lz4";
    std::chrono::milliseconds transaction_timeout = std::chrono::minutes(15);
    uint64_t queue_bytes = uint64_t{64} << 20;  ///< of messages that brokers have not taken yet
    int64_t message_bytes = 1'000'000;          ///< of the largest message
    int64_t batch_bytes = 1'000'000;            ///< of a batch of several
};

/// A header of a message.
struct Header {
    std::string_view name;
    std::string_view value;
};

/// What goes out as one message.
struct Outgoing {
    const std::string& topic;
    std::optional<std::string_view> key;
    std::optional<std::string_view> value;
    std::span<const Header> headers = {};
    /// By the key's hash, as Java's clients do it; nothing: that. Messages that must keep their order without a key name one.
    std::optional<int32_t> partition = {};
};

/// A producer of transactions. begin, send* (any threads), commit or abort. What fails a transaction fails its commit, and
/// after any error the producer is only good for abort().
class Producer {
  public:
    /// Fences every producer with the same id before it: their open transactions are taken back, those about to be committed
    /// are so when this returns.
    static Result<std::unique_ptr<Producer>> open(const ConnectionOptions& connection, const ProducerSettings& settings,
                                                  std::stop_token stop);

    const Client& client() const { return *client_; }
    /// Learns where these topics are; else the first message to each waits up to a second.
    Status look_up(const std::vector<std::string>& topics);
    Status begin();
    /// Waits where the queue is full.
    Status send(const Outgoing& message, std::stop_token stop);
    /// Returns when everything sent since begin is durable. An error of kind `unavailable` leaves open whether it is.
    Status commit();
    void abort() noexcept;

  private:
    Producer() = default;
    static void delivered(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque);
    Error sending_failed(rd_kafka_resp_err_t code);

    std::mutex mutex_;
    rd_kafka_resp_err_t failure_ = RD_KAFKA_RESP_ERR_NO_ERROR;  ///< of the first message that was not delivered
    std::string failure_words_;
    std::atomic<bool> failed_ = false;
    std::optional<Client> client_;
    using Topic = std::unique_ptr<rd_kafka_topic_t, decltype(&rd_kafka_topic_destroy)>;
    std::vector<Topic> topics_;  ///< while they live, the client keeps them in mind; gone before it
};

}  // namespace penstock::kafka
