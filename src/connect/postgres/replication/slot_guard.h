#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/replication/slot.h"

namespace penstock::postgres {

/// What a pipeline needs of its slot, and what the checkpoint in its target remembers of it.
struct SlotClaim {
    std::string pipeline;
    std::string slot;
    std::string plugin;
    std::string database;
    int32_t own_pid = 0;  ///< the reader that already holds it for us; 0 none

    /// The checkpoint; without one (`held` 0) only the slot's fitness is judged.
    Lsn held;            ///< the target has all that committed up to here
    std::string system;  ///< the server it came from
    int64_t timeline = 0;
};

/// Whether streaming may go on from `claim.held`: then nothing that committed after it is missing, and nothing the target has
/// is unknown to this server. Every other case is an Error that says what happened and the way out; none is ever passed over.
/// Pure. Judge before the stream starts, for the clearest words, and once more when it holds the slot (`own_pid`): from then
/// on nobody else can move it.
///
/// Codes: other_system, diverged, server_behind, slot_missing, slot_physical, slot_plugin, slot_database, slot_lost,
/// slot_recreated, slot_advanced, slot_active.
Status judge_slot(const SlotClaim& claim, const SystemIdentity& system, const std::optional<SlotState>& slot);

}  // namespace penstock::postgres
