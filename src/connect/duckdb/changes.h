#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/load.h"
#include "engine/changes/staged_changes.h"
#include "flow/change.h"

namespace penstock::duckdb {

/// Applies a part of changes (flow/change.h) to its target: mode merge mirrors the source's table, mode history keeps every
/// change as a version. The same part may come again: what the target has already changes nothing.
Result<flow::Counts> apply_changes(Load& load);

/// A part of changes, staged under the target's column names, and the load it is applied by.
struct Changes : engine::StagedChanges {
    /// Pulls the scan to its end.
    static Result<Changes> stage(Load& load);

    Load& load;
    std::string synced;  ///< the time of this load, as SQL

    /// What rows of the target stand for rows of the source: all, those not deleted, or current versions.
    std::string alive(std::string_view prefix = {}) const;

  private:
    Changes(engine::StagedChanges staged, Load& of) : engine::StagedChanges(std::move(staged)), load(of) {}
};

/// Mode merge, by key.
Result<flow::Counts> mirror_by_key(Changes& changes);
/// Mode history, by key.
Result<flow::Counts> history_by_key(Changes& changes);
/// Either mode where a row is told apart by its values only: see apply_keyless.cc.
Result<flow::Counts> apply_by_values(Changes& changes);
/// Either mode, where the part is the whole table (TableTarget::whole).
Result<flow::Counts> apply_whole(Changes& changes);

/// Closes or marks the target's rows that a truncate of the part meets, each at the first one after its position. Hard
/// deletes take them away.
Status truncate_target(Changes& changes);

using engine::staged_changes;

}  // namespace penstock::duckdb
