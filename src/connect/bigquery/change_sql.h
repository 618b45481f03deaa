#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connect/bigquery/publish_sql.h"

namespace penstock::bigquery {

/// Columns of a staging table of changes, beside the source's.
namespace staged_change {
/// Mirror: 'w' a row to write, 'd' one to delete, 'm' one to mark as deleted with the values it has. History and tables without key: as
/// in flow/change.h, but for truncates.
inline constexpr const char* op = "_penstock_op";
inline constexpr const char* position = "_penstock_position";
inline constexpr const char* committed_at = "_penstock_committed_at";
inline constexpr const char* deleted = "_penstock_deleted";
/// Where values are to come from the target: one character an unsent column, '1' where it is; and the key the target's row has.
inline constexpr const char* needs = "_penstock_needs";
std::string from(size_t key_column);
/// What ends a version, or a row without key, within the part.
inline constexpr const char* end_position = "_penstock_end_position";
inline constexpr const char* ended_at = "_penstock_ended_at";
/// History: the first change of its key, which ends the target's version.
inline constexpr const char* first = "_penstock_first";
}  // namespace staged_change

struct Truncate {
    std::string position;
    std::string committed_at;  ///< as text
};

/// What a part of changes holds, as far as its SQL depends on it.
struct ChangeSet {
    bool snapshot = false;  ///< nothing but rows of the source, all of one position, each key once
    bool keyed = true;
    bool staged = true;    ///< there are rows in the staging table
    bool deletes = false;  ///< without key: some of these are deletes
    bool marks = false;    ///< the target has a column for deleted rows
    std::vector<const ColumnPlan*> unsent = {};
    std::vector<Truncate> truncates = {};
    std::string synced = {};  ///< the time of this load, as SQL
    /// Of a whole table: the position and the moment of its rows, as SQL. One that is empty now has no row to tell the position.
    std::string whole_position = {}, whole_moment = {};

    /// The position of what is gone from a whole table, `row` being it.
    std::string gone_at(std::string_view row) const;

    bool resolves(const flow::TableTarget& target) const;
};

/// The columns that the staging table has behind the source's.
std::vector<Column> change_columns(const StagedLoad& load, const ChangeSet& changes);

/// Of `asked` (penstock_n, key as k0 …) those whose row the target has not: SELECT penstock_n.
std::string missing_rows_sql(const StagedLoad& load, const TableId& asked);

/// Where it depends on the target's rows which are written: fills `ready` with all rows that are to be inserted, so that they can be
/// counted; `_penstock_in_target` says which of them stand for rows that the target has.
std::optional<std::string> resolve_changes_sql(const StagedLoad& load, const ChangeSet& changes);
inline constexpr const char* in_target_column = "_penstock_in_target";

/// The statements of the commit, in order.
std::vector<std::string> apply_changes_sql(const StagedLoad& load, const ChangeSet& changes);

bool keeps_history(const StagedLoad& load);

/// Rows that the source deleted are deleted.
bool hard(const StagedLoad& load);

}  // namespace penstock::bigquery
