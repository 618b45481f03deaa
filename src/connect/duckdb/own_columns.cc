#include "connect/duckdb/own_columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/sql.h"
#include "flow/change.h"

namespace penstock::duckdb {
namespace {

constexpr const char* instant = "TIMESTAMP WITH TIME ZONE";

/// DuckDB adds no column that refuses NULL, nor makes it refuse NULL within the transaction.
std::string add_sql(const TargetTable& found, const OwnColumn& column) {
    return fmt::format("ALTER TABLE {} ADD COLUMN {} {}{}", found.name.quoted(), engine::quote_identifier(column.name),
                       column.type, column.initial == nullptr ? "" : fmt::format(" DEFAULT {}", column.initial));
}

}  // namespace

std::vector<OwnColumn> own_columns(const flow::TableTarget& target) {
    std::vector<OwnColumn> columns;
    bool history = target.mode == flow::Mode::history;
    if (target.info.changes) {
        columns.push_back({flow::change::position, "VARCHAR"});
        columns.push_back({flow::change::synced_at, instant});
    }
    if (history) {
        columns.push_back({valid_from, instant});
        columns.push_back({valid_to, instant});
    }
    if (target.info.changes && (history || target.deletes == flow::Deletes::soft))
        columns.push_back({flow::change::deleted, "BOOLEAN", "false"});
    return columns;
}

bool is_own_column(const flow::TableTarget& target, std::string_view name) {
    return std::ranges::any_of(own_columns(target), [&](const auto& own) { return own.name == name; });
}

std::string own_columns_sql(const flow::TableTarget& target) {
    std::string sql;
    for (const auto& column : own_columns(target))
        sql += fmt::format(", {} {}{}", column.name, column.type,
                           column.initial == nullptr ? "" : fmt::format(" NOT NULL DEFAULT {}", column.initial));
    return sql;
}

void add_own_columns(const flow::TableTarget& target, const TargetTable& found, Shape& shape) {
    if (!target.info.changes) return;
    for (const auto& column : own_columns(target)) {
        if (found.find(column.name) != nullptr) continue;
        bool may = target.schema_change == flow::SchemaChange::evolve;
        shape.decisions.push_back(
            {.column = column.name,
             .change = "column_added",
             .decision = may ? "applied" : "refused",
             .sql = may ? add_sql(found, column) : "",
             .detail = fmt::format("{} {}; penstock's own, to apply changes by", column.name, column.type)});
    }
}

}  // namespace penstock::duckdb
