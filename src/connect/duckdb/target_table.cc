#include "connect/duckdb/target_table.h"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/letters.h"

namespace penstock::duckdb {
namespace {

using engine::Connection;
using engine::Rows;
using engine::Value;

std::vector<Value> names_of(const TargetTable& table) { return {table.name.schema, table.name.table}; }

std::vector<std::string> first_column(const Rows& rows) {
    std::vector<std::string> values;
    for (size_t row = 0; row < rows.rows.size(); ++row) values.push_back(rows.text(row, 0));
    return values;
}

/// Catalog functions list every attached database; a temp table may have the same name.
std::string in_catalog(std::string_view select, std::string_view function) {
    return std::string(select) + " FROM " + std::string(function) +
           "() WHERE database_name = current_database() AND lower(schema_name) = lower($1) AND lower(table_name) = "
           "lower($2)";
}

Status refuse_view(Connection& connection, const TargetTable& table) {
    PN_TRY(Rows views, connection.query("SELECT 1 FROM duckdb_views() WHERE database_name = current_database() AND "
                                        "lower(schema_name) = lower($1) AND lower(view_name) = lower($2)",
                                        names_of(table)));
    if (views.empty()) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "target_is_a_view",
                 .message = "target " + table.name.schema + "." + table.name.table +
                            " is a view, and rows can only be written to a table",
                 .hint = "name another table under `target:`, or drop the view"});
}

Status read_table(Connection& connection, TargetTable& table) {
    PN_TRY(Rows found, connection.query(in_catalog("SELECT has_primary_key", "duckdb_tables"), names_of(table)));
    table.exists = !found.empty();
    if (!table.exists) return refuse_view(connection, table);
    PN_TRY(table.columns, engine::columns_of(connection, "SELECT * FROM " + table.name.quoted()));
    PN_TRY(Rows not_null, connection.query(in_catalog("SELECT column_name", "duckdb_columns") + " AND NOT is_nullable",
                                           names_of(table)));
    table.not_null = first_column(not_null);
    PN_TRY(Rows unique, connection.query(in_catalog("SELECT 1", "duckdb_constraints") +
                                             " AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') "
                                             "UNION ALL " +
                                             in_catalog("SELECT 1", "duckdb_indexes") + " AND is_unique",
                                         names_of(table)));
    table.has_unique_index = !unique.empty();
    PN_TRY(Rows indexes,
           connection.query(in_catalog("SELECT sql", "duckdb_indexes") + " AND sql IS NOT NULL", names_of(table)));
    table.index_statements = first_column(indexes);
    PN_TRY(Rows any, connection.query("SELECT 1 FROM " + table.name.quoted() + " LIMIT 1"));
    table.empty = any.empty();
    return {};
}

Status read_storage_version(Connection& connection, TargetTable& table) {
    PN_TRY(Rows rows, connection.query("SELECT tags['storage_version']::VARCHAR FROM duckdb_databases() WHERE "
                                       "database_name = current_database()"));
    table.storage = engine::storage_of(rows.empty() ? "" : rows.text(0, 0));
    return {};
}

bool is_of(const data::Schema& schema, const std::string& relation) {
    return std::ranges::any_of(schema.fields, [&](const auto& field) { return field.source_relation == relation; });
}

/// Several sources may fill one table: what was recorded of this one says more than what came last.
Status read_record(Connection& connection, const Bookkeeping& bookkeeping, const flow::TableTarget& target,
                   TargetTable& table) {
    const auto& fields = target.info.schema.fields;
    std::string relation = fields.empty() ? "" : fields.front().source_relation;
    PN_TRY(auto history, bookkeeping.schema_history(connection, target.name));
    int64_t version = -1;
    std::optional<data::Schema> newest, ours;
    for (const auto& record : history) {
        table.schema_version = std::max(table.schema_version, record.version);
        if (record.version == version) continue;  // the next decision of the same run
        version = record.version;
        PN_TRY(newest, data::schema_from_json(record.columns));
        if (relation.empty() || !is_of(*newest, relation)) continue;
        for (const auto& field : newest->fields) table.once_recorded.insert(lower_case(field.name));
        ours = newest;
    }
    table.recorded = ours ? ours : newest;
    return {};
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

const engine::TargetColumn* TargetTable::find(std::string_view column) const {
    for (const auto& candidate : columns)
        if (same_name(candidate.name, column)) return &candidate;
    return nullptr;
}

TargetTable absent_table(const flow::TableTarget& target) {
    TargetTable table;
    table.name = engine::TableName::parse(target.name);
    table.storage = engine::Storage::v1_3;
    return table;
}

Result<TargetTable> inspect(Connection& connection, const Bookkeeping& bookkeeping, const std::string& pipeline,
                            const flow::TableTarget& target) {
    TargetTable table = absent_table(target);
    PN_CHECK(read_table(connection, table));
    PN_CHECK(read_storage_version(connection, table));
    if (!table.exists) return table;  // whatever was recorded is of a table that somebody has dropped
    PN_TRY(table.batch, bookkeeping.newest_batch(connection, pipeline, target.info.name, target.name));
    PN_CHECK(read_record(connection, bookkeeping, target, table));
    return table;
}

}  // namespace penstock::duckdb
