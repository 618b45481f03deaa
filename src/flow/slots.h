#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::flow {

/// A place in a server's log of changes that is kept there for one reader: the server lets go of nothing that this reader has
/// not confirmed. What a server does not tell is absent or "".
struct Slot {
    std::string name;
    std::string plugin;    ///< what decodes the log for its reader; "" nothing does: a copy of the server reads it
    std::string database;  ///< "" all of them
    bool active = false;
    int64_t reader_pid = 0;
    std::string reader;     ///< who reads it, in words
    std::string kept_from;  ///< positions in the server's own words: the log is kept from here on
    std::string confirmed;  ///< the reader has all that committed before
    std::string log_end;    ///< where the server is
    std::optional<int64_t> retained_bytes;
    std::optional<int64_t> lag_bytes;  ///< written since `confirmed`
    std::string state;                 ///< the server's own word
    std::optional<int64_t>
        room_bytes;  ///< that may still be written before the slot can be lost; absent: no limit is set
    std::optional<double> bytes_a_second;  ///< the server writes now; only looked for where there is a limit
    bool temporary = false;
    bool two_phase = false;
    bool failover = false;  ///< standbys keep a copy
    bool synced = false;    ///< is such a copy
    bool grave = false;     ///< the concern is that changes are lost, or will be
    std::string concern;    ///< what is wrong with it; "" nothing
    std::string fix;        ///< {pipeline} in it stands for the pipeline that reads the slot

    /// How long the room lasts if the reader stays where it is and the server writes on like this.
    std::optional<double> seconds_left() const {
        if (!room_bytes || !bytes_a_second || *bytes_a_second <= 0) return std::nullopt;
        return *room_bytes <= 0 ? 0 : static_cast<double>(*room_bytes) / *bytes_a_second;
    }
};

/// The slots of one server. Errors are the server's own, with what to do. One thread.
class Slots {
  public:
    virtual ~Slots() = default;
    /// By name. Where room is limited it looks twice, a second apart, to see how fast the log grows.
    virtual Result<std::vector<Slot>> list() = 0;
    /// The slot is gone, and the log it kept with it.
    virtual Status drop(const Slot& slot) = 0;
    /// Gives up what lies before `to` ("" all that there is now); where the slot stands then.
    virtual Result<std::string> advance(const Slot& slot, const std::string& to) = 0;
};

}  // namespace penstock::flow
