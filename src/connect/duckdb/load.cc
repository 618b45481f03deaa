#include "connect/duckdb/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;

std::string select_list(const Shape& shape) {
    std::string list;
    for (const auto& column : shape.columns) {
        if (!list.empty()) list += ", ";
        auto source = quote_identifier(column.source), name = quote_identifier(column.name);
        if (column.cast) {
            list += fmt::format("CAST({} AS {}) AS {}", source, engine::sql_type(column.type), name);
        } else {
            list += column.source == column.name ? source : source + " AS " + name;
        }
    }
    return list;
}

std::string order_by(const flow::TableTarget& target) {
    std::string order = target.partition_by;
    for (const auto& column : target.cluster_by) order += (order.empty() ? "" : ", ") + quote_identifier(column);
    return order.empty() ? "" : " ORDER BY " + order;
}

/// A part of changes in outline.
std::vector<std::string> statements_of_changes(const flow::TableTarget& target, const std::string& table,
                                               const std::string& columns) {
    std::string keys = target.info.key.empty() ? columns : engine::quote_list(target.info.key);
    std::string stage =
        fmt::format("CREATE TEMP TABLE changes AS SELECT {}, _penstock_op, _penstock_position, … FROM source", columns);
    if (target.mode == flow::Mode::history)
        return {stage,
                fmt::format("UPDATE {} SET {} = … FROM the first change of each ({}) WHERE {} IS NULL", table, valid_to,
                            keys, valid_to),
                fmt::format("INSERT INTO {} ({}, …) FROM every change", table, columns)};
    bool soft = target.deletes == flow::Deletes::soft;
    return {
        stage,
        fmt::format("{} {} whose ({}) changed", soft ? "DELETE or mark as deleted, in" : "DELETE FROM", table, keys),
        fmt::format("INSERT INTO {} ({}, …) FROM the newest change of each ({}) that is no delete", table, columns,
                    keys)};
}

}  // namespace

std::string Load::select_list() const { return duckdb::select_list(shape); }

std::string Load::select() const { return fmt::format("SELECT {} FROM {}", select_list(), scan.sql()); }

std::vector<std::string> Load::column_names() const {
    std::vector<std::string> names;
    for (const auto& column : shape.columns) names.push_back(column.name);
    return names;
}

std::vector<engine::ComparedColumn> Load::columns() const {
    std::vector<engine::ComparedColumn> out;
    for (const auto& column : shape.columns) out.push_back({.name = column.name, .type = column.type});
    return out;
}

std::string Load::order() const { return order_by(target); }

Result<int64_t> Load::pull(const std::string& sql) {
    auto changed = connection.execute(sql);
    if (changed) return changed;
    return fail(scan.original(std::move(changed.error())));
}

bool Load::key_is_certain() const {
    std::set<std::string> wanted(target.key.begin(), target.key.end());
    return target.info.key_is_unique && wanted == std::set<std::string>(target.info.key.begin(), target.info.key.end());
}

Result<flow::Counts> insert_all(Load& load, const std::string& extra_columns, const std::string& extra_values) {
    std::string select = load.select();
    if (!extra_columns.empty()) select = fmt::format("SELECT *, {} FROM ({})", extra_values, select);
    PN_TRY(
        int64_t written,
        load.pull(fmt::format("INSERT INTO {} ({}{}) {}{}", load.into.quoted(), engine::quote_list(load.column_names()),
                              extra_columns.empty() ? "" : ", " + extra_columns, select, load.order())));
    return flow::Counts{.rows_read = load.scan.rows(), .rows_written = written};
}

std::vector<std::string> statements_of(const flow::TableTarget& target, const TargetTable& found, const Shape& shape,
                                       bool rereads) {
    std::vector<std::string> names;
    for (const auto& column : shape.columns) names.push_back(column.name);
    std::string table = found.name.quoted(), columns = engine::quote_list(names),
                select = "SELECT " + select_list(shape) + " FROM source";
    std::string insert = fmt::format("INSERT INTO {} ({}) {}{}", table, columns, select, order_by(target));
    bool rebuilds = target.mode == flow::Mode::replace || target.full_refresh;
    if (found.exists && rebuilds) {
        auto aside = engine::TableName{found.name.schema, found.name.table + "__staging_<run_id>"};
        return {create_table_sql(aside, target, shape, found.storage),
                fmt::format("INSERT INTO {} ({}) {}{}", aside.quoted(), columns, select, order_by(target)),
                "DROP TABLE " + table,
                fmt::format("ALTER TABLE {} RENAME TO {}", aside.quoted(), quote_identifier(found.name.table))};
    }
    std::string stage = "CREATE TEMP TABLE staged AS " + select;
    std::string on;
    for (const auto& key : target.key)
        on += (on.empty() ? "" : " AND ") + fmt::format("T.{0} = S.{0}", quote_identifier(key));
    bool plain = !found.exists || found.empty;
    if (target.info.changes) return statements_of_changes(target, table, columns);
    switch (target.mode) {
        case flow::Mode::append:
        case flow::Mode::replace:
            if (!rereads) return {insert};
            return {stage, fmt::format("INSERT INTO {0} ({1}) FROM staged EXCEPT ALL SELECT {1} FROM {0} WHERE {2} >= "
                                       "(SELECT min({2}) FROM staged)",
                                       table, columns, quote_identifier(target.info.cursor))};
        case flow::Mode::merge:
            if (plain) return {insert};
            return {stage,
                    fmt::format("MERGE INTO {} T USING staged S ON {} WHEN MATCHED{} THEN UPDATE BY NAME WHEN NOT "
                                "MATCHED THEN INSERT BY NAME",
                                table, on, target.update_when.empty() ? "" : " AND (" + target.update_when + ")")};
        case flow::Mode::history:
            if (plain) return {insert};
            return {stage,
                    fmt::format(
                        "UPDATE {} T SET {} = … FROM staged S WHERE {} AND T.{} IS NULL AND (T.* IS DISTINCT FROM S.*)",
                        table, valid_to, on, valid_to),
                    fmt::format("INSERT INTO {} ({}, {}, {}) FROM staged that are new or changed", table, columns,
                                valid_from, valid_to)};
    }
    return {};
}

}  // namespace penstock::duckdb
