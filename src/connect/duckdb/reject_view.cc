#include "connect/duckdb/reject_view.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::duckdb {

Status make_view(engine::Connection& connection, const flow::RejectView& view) {
    auto name = engine::TableName::parse(view.table);
    std::vector<engine::Value> names = {name.schema, name.table};
    PN_TRY(auto found, connection.query("SELECT coalesce(comment, '') FROM duckdb_views() WHERE database_name = "
                                        "current_database() AND lower(schema_name) = lower($1) AND lower(view_name) = "
                                        "lower($2) UNION ALL SELECT '' FROM duckdb_tables() WHERE database_name = "
                                        "current_database() AND lower(schema_name) = lower($1) AND lower(table_name) = "
                                        "lower($2)",
                                        names));
    if (!found.empty() && found.text(0, 0) == view.comment) return {};
    if (!found.empty() && !found.text(0, 0).starts_with(flow::reject_view_mark)) return fail(view.name_taken());
    PN_CHECK(connection.execute(fmt::format(
        "CREATE SCHEMA IF NOT EXISTS {}; CREATE OR REPLACE VIEW {} AS SELECT * FROM penstock.rejects WHERE {}; COMMENT "
        "ON VIEW {} IS {}",
        engine::quote_identifier(name.schema), name.quoted(), view.condition, name.quoted(),
        engine::quote_literal(view.comment))));
    return {};
}

}  // namespace penstock::duckdb
