#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "connect/kafka/connection.h"

namespace penstock::kafka {

enum class Role { producer, consumer };

/// librdkafka's own properties, set after those of the connection.
using Properties = std::vector<std::pair<std::string, std::string>>;

struct PartitionListDeleter {
    void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
};
/// Must be gone before the client: rd_kafka_destroy waits for ever on what is still held.
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, PartitionListDeleter>;

/// What librdkafka points to; empty where it points to nothing.
inline std::string_view bytes_of(const void* bytes, size_t size) {
    return bytes == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(bytes), size);
}

/// A client of a cluster. Opening one connects to nothing yet. Its log lines go to ours.
class Client {
  public:
    /// Properties of a producer whose records somebody counts: the callback for each record, from poll(), and its argument.
    struct Delivery {
        void (*callback)(rd_kafka_t*, const rd_kafka_message_t*, void*) = nullptr;
        void* opaque = nullptr;
    };

    /// Of a consumer in a group: the callback for each change of what it has, from polling and closing, and its argument.
    struct Rebalance {
        void (*callback)(rd_kafka_t*, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*, void*) = nullptr;
        void* opaque = nullptr;
    };

    static Result<Client> open(Role role, const ConnectionOptions& connection, const Properties& own);
    static Result<Client> open(Role role, const ConnectionOptions& connection, const Properties& own,
                               Delivery delivery);
    static Result<Client> open(Role role, const ConnectionOptions& connection, const Properties& own, Delivery delivery,
                               Rebalance rebalance);
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    rd_kafka_t* handle() const;
    int timeout_ms() const;

    /// A failure of `doing` ("committing", "reading topic x"): what librdkafka said, the last trouble with a broker where it
    /// explains a timeout, and what to do.
    Error error(rd_kafka_resp_err_t code, std::string_view doing, std::string_view words = {}) const;
    /// The same of an error object, which is freed.
    Error error(rd_kafka_error_t* error, std::string_view doing) const;

  private:
    struct State;
    explicit Client(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace penstock::kafka
