#pragma once

#include <string>
#include <vector>

#include "connect/bigquery/change_sql.h"

namespace penstock::bigquery {

/// Changes of rows that are told apart by all their values, and tables that are read anew. BigQuery has no numbers of rows, so equal rows
/// of the target are taken out and those of them that are to stay are put in again, as they were: `ready` has them, beside the new ones.

/// Changes without key: `ready` after each delete has taken the oldest row of its values.
std::string remaining_rows_sql(const StagedLoad& load, const ChangeSet& changes);
std::vector<std::string> apply_keyless_sql(const StagedLoad& load, const ChangeSet& changes);

/// A whole table without key: `ready` has the rows that are more often than in the target, and the target's that are more often there.
std::string remaining_of_whole_sql(const StagedLoad& load, const ChangeSet& changes);
/// A whole table by key, mode history: `ready` has rows that the target has otherwise, or not.
std::string changed_versions_sql(const StagedLoad& load, const ChangeSet& changes);
std::vector<std::string> apply_whole_sql(const StagedLoad& load, const ChangeSet& changes);

// What these need of change_sql.cc:
/// Staged rows under the target's names, with the columns of staged_change.
std::string staged_as_target(const StagedLoad& load, const ChangeSet& changes);
/// The first truncate after a position, as SQL: NULL where there is none.
std::string next_truncate(const ChangeSet& changes, const std::string& position, bool moment);

}  // namespace penstock::bigquery
