#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connect/bigquery/client.h"
#include "connect/bigquery/jobs.h"
#include "connect/bigquery/read_increment.h"
#include "connect/bigquery/read_types.h"
#include "connect/bigquery/source_options.h"
#include "flow/source.h"

namespace penstock::bigquery {

/// A table, view or query as it will be read, worked out before any row is.
struct TableRead {
    flow::TableInfo info;
    TableId id;                ///< of a query: nothing
    bool by_storage = false;   ///< a table that Storage Read takes as it is; all else needs a query
    bool time_travels = true;  ///< FOR SYSTEM_TIME AS OF may stand behind its name
    std::string query;         ///< of the user; "" for tables
    std::string where;         ///< of the user
    std::vector<WireColumn> columns;
    Cursor cursor;
    std::optional<flow::Charge> charge = {};  ///< of reading everything, as far as that is known

    std::vector<std::string> names() const;
    /// "(user's where) AND (condition)"; "" entries are left out.
    std::string restriction(const std::string& condition) const;
    /// The read as a query, of how the tables were at `micros`, or are.
    Query select(const std::string& condition, std::optional<int64_t> micros, bool ordered, int64_t limit) const;
};

/// Whether the query says where the moment belongs: @as_of.
bool names_moment(const SourceOptions& options);

/// Columns and types of everything that the source names. Reads descriptions only; bills nothing. `micros` is the moment that
/// will be read, where it is known; a query that names it needs it.
Result<std::vector<TableRead>> plan_reads(Client& client, Jobs& jobs, const SourceOptions& options,
                                          const config::TypePolicies& policies, const data::Holds& holds,
                                          std::optional<int64_t> micros);

/// A moment as a literal: TIMESTAMP '…'.
std::string timestamp_literal(int64_t micros);

}  // namespace penstock::bigquery
