#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/error.h"

namespace penstock::kafka {

struct PartitionPosition {
    int64_t next = 0;     ///< the offset to go on with
    int64_t last = -1;    ///< the newest message that was taken; -1 none
    uint64_t digest = 0;  ///< of that message: a topic that was made anew has another one there
};

/// How far a topic is in the target; the checkpoint's position, as JSON.
struct TopicPosition {
    std::string topic;
    std::string cluster;
    /// Counts how often partitions were added: a key may have moved to another one, where offsets are smaller.
    uint32_t generation = 0;
    std::map<int32_t, PartitionPosition> partitions;

    std::string to_json() const;
    static Result<TopicPosition> from_json(const std::string& text);

    /// What orders the changes of a key: offsets within a generation (flow::change::position).
    uint64_t order_of(int64_t offset) const { return uint64_t{generation} << 48 | static_cast<uint64_t>(offset); }
};

}  // namespace penstock::kafka
