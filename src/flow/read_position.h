#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace penstock::flow {

/// How far a table that is read by a cursor has got, for sources that know no more than its largest value: the checkpoint's
/// position, as JSON.
struct ReadPosition {
    std::string cursor;  ///< largest value read, as text; "" when none yet
    std::string of;      ///< what was read: table, cursor, condition and query; another has positions of its own
    int64_t batch = 0;   ///< of several commits of one run, which; it is not read back

    std::string to_json() const;
    static Result<ReadPosition> from_json(const std::string& json);
};

}  // namespace penstock::flow
