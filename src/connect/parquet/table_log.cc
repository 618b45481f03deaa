#include <fmt/format.h>

#include "connect/parquet/table_load.h"
#include "engine/sql.h"
#include "engine/types.h"
#include "flow/change.h"

namespace penstock::parquet {

using engine::quote_identifier;

std::vector<std::string> TableLoad::order() const {
    bool log = target_.info.changes && target_.cluster_by.empty() && scan_.find(flow::change::unchanged) >= 0;
    return log ? std::vector<std::string>{flow::change::position} : target_.cluster_by;
}

Result<std::string> TableLoad::truncate_row() const {
    if (!newest_ || target_.full_refresh) return std::string();
    PN_TRY(auto live, live_manifests(context_.unit.root(), context_.pipeline, target_.name));
    std::string published;
    for (const auto& manifest : live)
        if (!manifest.files.empty())
            published += (published.empty() ? "" : " UNION ALL ") + select_published(manifest, manifest.files);
    if (published.empty()) return std::string();
    PN_TRY(auto last, connection_.query(fmt::format("SELECT left(max({}), 17) FROM ({})",
                                                    quote_identifier(flow::change::position), published)));
    if (last.text(0, 0).size() != 17) return std::string();
    std::string columns;
    for (const auto& column : shape_.columns) {
        std::string value = "NULL";
        if (column.field.name == flow::change::op) value = "'t'";
        else if (column.field.name == flow::change::position) value = "'" + last.text(0, 0) + "FFFFFFFFFFFFFFFF'";
        else if (column.field.name == flow::change::committed_at) value = "'" + iso_time(context_.started_at) + "'";
        else if (column.field.name == flow::change::unchanged) value = "[]";
        columns += fmt::format("{}CAST({} AS {}) AS {}", columns.empty() ? "" : ", ", value,
                               engine::sql_type(column.field.type), quote_identifier(column.field.name));
    }
    return "SELECT " + columns;
}

Status TableLoad::count_deletes() {
    if (files_.empty()) return {};
    PN_TRY(auto rows,
           connection_.query(fmt::format("SELECT count(*) FROM {} WHERE {} = 'd'",
                                         read_sql(data_folder(), files_, partition_names(partitions_), schema_),
                                         quote_identifier(flow::change::op))));
    counts_.rows_deleted = rows.number(0, 0);
    return {};
}

}  // namespace penstock::parquet
