#pragma once

#include <optional>
#include <string>

#include "base/clock.h"

namespace penstock::flow {

/// How far a table (or a stream) has got. It commits in the target in the same transaction as the rows it covers and is
/// handed back to the source at the next run. I2: it only moves forward. A sink gives back every field as it was handed over:
/// the runner recognises by equality a commit that arrived although its answer was lost.
struct Checkpoint {
    std::string cursor_from;  ///< lower bound of the cursor that was read, as text; "" when there was none
    std::string cursor_to;    ///< largest cursor value that is durable
    std::string position;     ///< the source's own words (JSON), opaque to everybody else: LSN, offsets, snapshot
    TimePoint read_at{};      ///< source clock when the position was fixed; never the same for two reads

    bool operator==(const Checkpoint&) const = default;
};

}  // namespace penstock::flow
