#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "flow/position.h"

namespace penstock::events {

/// Where a stream that several processes share goes on: the checkpoint's position.
struct SharedPosition {
    /// By what is found in the archive when a process is gone is it told which objects were committed: those of `segment`, the last
    /// that whoever had the seat has committed. Each new owner counts `taken` on, after which the one before commits nothing more.
    struct Seat {
        int64_t taken = 0;
        int64_t segment = 0;
        bool operator==(const Seat&) const = default;
    };

    std::map<int, Seat> seats;
    std::optional<std::string> stream;  ///< the messages' own position, JSON; nothing was committed without

    std::string to_json() const;
    /// A position that no processes have shared is the stream's alone. Code `damaged_position` where there are seats that cannot
    /// be read.
    static Result<SharedPosition> of(const std::optional<flow::Checkpoint>& checkpoint);
};

/// What an archive's intent has as its position, for a segment of a seat.
std::string archive_position(int seat, int64_t segment);

}  // namespace penstock::events
