#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/client.h"
#include "connect/bigquery/partitioning.h"
#include "connect/bigquery/types.h"
#include "flow/change.h"
#include "flow/ledger.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// Columns of type 2 history.
using flow::change::valid_from;
using flow::change::valid_to;

/// A target table as it stands, with what was recorded of it.
struct TargetTable {
    TableId id;
    bool exists = false;
    bool empty = true;
    std::vector<Column> columns;
    Partitioning partitioning;
    std::vector<std::string> clustering;
    std::optional<flow::BatchRecord> batch;  ///< the newest of this pipeline, source and target
    std::optional<data::Schema> recorded;    ///< the source's schema at the last recorded decision about it
    std::set<std::string> once_recorded;     ///< names that columns of this very source have had, in lower case
    int64_t schema_version = 0;

    const Column* find(std::string_view name) const;
};

/// Asks for the table alone; nothing of what was recorded.
Result<TargetTable> look_at(Client& client, const TableId& id);

/// What a table to be made is to be like.
struct NewTable {
    TableId id;
    std::vector<Column> columns;
    Partitioning partitioning = {};
    std::vector<std::string> clustering = {};
    std::vector<std::string> primary_key = {};
    std::string description = {};
    std::map<std::string, std::string> labels = {};
    std::optional<TimePoint> expires = {};

    /// The statement that makes the same.
    std::string sql() const;
};

/// Whether it was made now; one that is there already stays as it is.
Result<bool> make_table(Client& client, const NewTable& table);
/// An error where it is in another location than the connection's jobs.
Result<bool> has_dataset(Client& client, const std::string& dataset);
Status make_dataset(Client& client, const std::string& dataset);
/// One that is not there is no error.
Status drop_table(Client& client, const TableId& id);
/// Tables of a dataset with a label of this value.
Result<std::vector<TableId>> tables_labelled(Client& client, const std::string& dataset, const std::string& label,
                                             const std::string& value);

}  // namespace penstock::bigquery
