#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "connect/postgres/replication/slot.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

/// What is wrong with a slot, and the way out.
struct SlotConcern {
    bool grave = false;  ///< changes are lost, or soon will be
    bool held = false;   ///< by a transaction: oldest_writer() tells which
    std::string what;
    std::string fix;
};

/// The end of the server's log when the slot was looked at.
std::optional<Lsn> log_end(const SlotState& slot);

/// What the server wrote a second between two looks; absent where it does not say where it is.
std::optional<double> log_rate(const SlotState& before, const SlotState& after, std::chrono::duration<double> between);

/// `pipeline` in the way out; "" when it is not known. Pure.
std::optional<SlotConcern> slot_concern(const SlotState& slot, const std::string& pipeline);

/// Who keeps the server from letting go of the log although the slot's reader has confirmed it: the oldest transaction that
/// is open or prepared, in words; "" none that this role may see. Asks the server.
Result<std::string> oldest_writer(Session& session);

}  // namespace penstock::postgres
