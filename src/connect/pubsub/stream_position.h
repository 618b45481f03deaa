#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::pubsub {

/// A subscription has no offsets: where a stream of it stands is the ids of the messages that are durable, as far back as they
/// are remembered. Two kinds: those whose acknowledgement the service has not confirmed, so that they will or may come again,
/// and those that it has, which come again only because delivery is at least once.
struct StreamPosition {
    std::string subscription;               ///< projects/p/subscriptions/s
    std::string stream;                     ///< of which reader; others' `given` mean nothing
    uint64_t given = 0;                     ///< messages the reader had given out
    int64_t sent_until = 0;                 ///< the newest of their times: a later message is not one of these
    std::vector<std::string> pending;       ///< not known to be acknowledged
    std::vector<std::string> acknowledged;  ///< oldest first where this reader has them; no order once read back

    /// With as many of `acknowledged`, the newest, as keep it below `most_bytes`. All of `pending`.
    std::string to_json(size_t most_bytes) const;
    static Result<StreamPosition> from_json(const std::string& text);
    /// Without its ids.
    static Result<StreamPosition> head_from_json(const std::string& text);
};

}  // namespace penstock::pubsub
