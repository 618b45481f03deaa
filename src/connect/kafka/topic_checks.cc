#include "connect/kafka/topic_checks.h"

#include <fmt/format.h>

namespace penstock::kafka {

Error gone(const std::string& topic, int32_t partition, std::string why) {
    return {.kind = ErrorKind::refused,
            .code = "events_lost",
            .message = fmt::format("topic {} cannot be gone on with: {}", topic, why),
            .where = fmt::format("topic {}, partition {}", topic, partition),
            .hint =
                "for change events, have the connector take a new snapshot into the topic; then run once with "
                "--full-refresh; a longer "
                "retention.ms, or cleanup.policy=compact, keeps events until they are read"};
}

Status check_offsets(const TopicPosition& held, const std::map<int32_t, OffsetRange>& ranges) {
    for (const auto& [partition, at] : held.partitions) {
        auto range = ranges.find(partition);
        if (range == ranges.end())
            return fail(gone(held.topic, partition, "it has fewer partitions than it had: it was made anew"));
        if (at.next > range->second.end)
            return fail(gone(
                held.topic, partition,
                fmt::format("it ends at offset {}, and {} was read: it was made anew", range->second.end, at.next)));
        if (at.next < range->second.begin)
            return fail(gone(held.topic, partition,
                             fmt::format("offsets {} to {} were not read and are gone: retention took them", at.next,
                                         range->second.begin - 1)));
    }
    return {};
}

}  // namespace penstock::kafka
