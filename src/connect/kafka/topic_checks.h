#pragma once

#include <map>
#include <string>

#include "connect/kafka/consumer.h"
#include "connect/kafka/topic_position.h"

namespace penstock::kafka {

/// A topic cannot be gone on with.
Error gone(const std::string& topic, int32_t partition, std::string why);

/// Whether each partition still has what comes behind the position.
Status check_offsets(const TopicPosition& held, const std::map<int32_t, OffsetRange>& ranges);

}  // namespace penstock::kafka
