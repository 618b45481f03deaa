#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/settings.h"
#include "connect/bigquery/local_stage.h"
#include "connect/bigquery/schema_change.h"
#include "connect/bigquery/sql.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// A load whose rows are in a staging table: all that its SQL is made of.
struct StagedLoad {
    const flow::TableTarget& target;
    const Shape& shape;
    const config::TypePolicies& policies;
    TableId into;
    TableId staging;
    TableId ready;            ///< where resolve_sql puts what is left to write
    bool into_empty = false;  ///< nothing in the target needs to be looked at
    bool rereads = false;     ///< rows of an earlier commit may come again
    bool marks_rejects = false;
    TimePoint began{};  ///< the load's own time
    TimePoint ready_expires{};
    std::string label = {};                        ///< whose staging it is, for who tidies up
    std::optional<LocalStage::Range> cursor = {};  ///< of the staged rows
    std::string partition_column = {};
    std::vector<LocalStage::Range> partitions =
        {};               ///< that the staged rows reach, in as many ranges as jobs are needed
    bool prunes = false;  ///< a merge may keep to them: see prunes()
};

/// Staged rows as rows of the target: SELECT … AS `a`, … FROM staging.
std::string staged_rows_sql(const StagedLoad& load);

/// Where what is to be written depends on what the target has: a statement that puts the rows that are left into
/// `ready`, so that they can be counted before they are committed. Nothing where all staged rows are written.
///   append   rows that were there already are left out, as a multiset, from the lowest staged cursor on
///   merge    rows that must not replace what is there (update_when; an older row of a key that is not the source's own)
///   history  the versions to be opened, each with its validity
Result<std::optional<std::string>> resolve_sql(const StagedLoad& load);

/// The statements of the commit, in order. `resolved`: the rows are in `ready`.
Result<std::vector<std::string>> publish_sql(const StagedLoad& load, bool resolved);

/// Whether a merge looks only at partitions that have staged rows.
bool prunes(const flow::TableTarget& target, const Shape& shape, const std::string& partition_column);

/// Of `rows`, a query, those of one range of partitions; those without a partition's value go with the first.
std::string rows_within(const StagedLoad& load, const std::string& rows, size_t index);

/// Makes the table of what is left to write out of a query.
std::string make_ready(const StagedLoad& load, const std::string& select);

}  // namespace penstock::bigquery
