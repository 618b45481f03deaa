#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/duckdb/load.h"
#include "flow/change.h"

namespace penstock::duckdb {

/// Applies a part of changes (flow/change.h) to its target: mode merge mirrors the source's table, mode history keeps every
/// change as a version. The same part may come again: what the target has already changes nothing.
Result<flow::Counts> apply_changes(Load& load);

/// A part of changes in a TEMP table: every row, under the target's column names, and beside them the columns of
/// flow/change.h. Its row ids stay, and rise with the positions, whose place they take in aggregates: the states of numbers are small
/// and can be spilled, those of texts cannot.
struct Changes {
    /// Pulls the scan to its end.
    static Result<Changes> stage(Load& load);
    Status drop();

    Load& load;
    std::vector<std::string> key;  ///< the target's names; empty: rows are told apart by all their values
    std::string synced;            ///< the time of this load, as SQL
    int64_t rows = 0;
    int64_t truncates = 0;
    int64_t unsent = 0;         ///< rows with values that were not sent
    int64_t moved = 0;          ///< rows with an identity
    std::string last_truncate;  ///< its position, as an SQL literal
    std::string first_position, last_position;

    /// "S.a, S.b": the source's columns as the target has them.
    std::string columns(std::string_view prefix = {}) const;
    std::string keys(std::string_view prefix = {}) const;
    /// What rows of the target stand for rows of the source: all, those not deleted, or current versions.
    std::string alive(std::string_view prefix = {}) const;
    /// Truncates of the part: (position, committed_at).
    std::string truncates_table() const;

  private:
    explicit Changes(Load& of) : load(of) {}
    Status measure();
    Result<bool> in_order();
    Status put_in_order();
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

inline constexpr const char* staged_changes = "temp.main.penstock_changes";

}  // namespace penstock::duckdb
