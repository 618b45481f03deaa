#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "connect/kafka/client.h"

namespace penstock::kafka {

/// One record as a consumer meets it; views stay valid during the call.
struct Record {
    int32_t partition;
    int64_t offset;
    std::optional<std::string_view> key;
    std::optional<std::string_view> value;
    const rd_kafka_message_t* message;
};

/// Every record of the topic from its beginning to where it ends now, of committed transactions only; a topic that does not
/// exist has none. In the order of each partition.
Status read_topic(const ConnectionOptions& connection, const std::string& topic, std::stop_token stop,
                  const std::function<Status(const Record&)>& visit);

}  // namespace penstock::kafka
