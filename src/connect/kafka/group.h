#pragma once

#include <librdkafka/rdkafka.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connect/kafka/client.h"

namespace penstock::kafka {

/// What a group's brokers give to a consumer and take from it (KIP-429, cooperative: partitions that stay are read on meanwhile). A
/// change waits until it is answered, so that what was read of a partition can be committed before it goes. The consumer's thread.
class Group {
  public:
    struct Change {
        enum class Kind {
            given,
            wanted,  ///< somebody else is to have them
            lost,    ///< somebody else may have them already
        };
        Kind kind;
        std::vector<std::pair<std::string, int32_t>> partitions;
    };

    /// What waits for an answer.
    const std::optional<Change>& change() const { return change_; }
    /// Takes what is given, each partition from an offset on, in the change's order.
    Status accept(const Client& client, const std::vector<int64_t>& offsets);
    /// Lets go of what is wanted or lost.
    Status release(const Client& client);
    /// From here on everything is let go of at once: the consumer is about to be closed.
    void close(const Client& client);

    static void on_rebalance(rd_kafka_t* handle, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* partitions,
                             void* self);

  private:
    std::optional<Change> change_;
    bool closing_ = false;
};

}  // namespace penstock::kafka
