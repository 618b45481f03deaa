#pragma once

#include <functional>
#include <vector>

#include "state/lock.h"
#include "state/soci.h"

namespace penstock::state {

/// Locks as rows of a transaction, for the bodies of state.

/// Of whole pipelines and of seats, in the order of pipelines and seats.
std::vector<LockHolder> select_holders(soci::session& sql);
/// Of one that nobody else has.
void insert_lock(soci::session& sql, const LockHolder& holder);
/// The whole pipeline. In place of a holder that is gone; refused where one lives (`already_running`).
Status take_lock(soci::session& sql, const LockHolder& holder, const std::function<bool(const LockHolder&)>& is_alive);

}  // namespace penstock::state
