#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "connect/kafka/client.h"

namespace penstock::kafka {

/// A topic to be made where it does not exist.
struct NewTopic {
    std::string name;
    int partitions = -1;   ///< -1: as the brokers have it
    int replication = -1;  ///< the same
    std::map<std::string, std::string> config;
};

/// The number of partitions of each topic, 0 where it does not exist. Never makes one.
Result<std::map<std::string, int>> partition_counts(const Client& client, const std::vector<std::string>& topics);

/// Makes the topics that do not exist, and returns when brokers know them.
Status create_topics(const Client& client, const std::vector<NewTopic>& topics);

/// max.message.bytes of each topic; topics whose settings may not be read are left out.
Result<std::map<std::string, int64_t>> message_limits(const Client& client, const std::vector<std::string>& topics);

}  // namespace penstock::kafka
