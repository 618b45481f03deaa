// Tables that take the source's own shape: new ones, and those that are built again.
#include <fmt/format.h>

#include <algorithm>

#include "connect/duckdb/own_columns.h"
#include "connect/duckdb/schema_change.h"
#include "engine/compression.h"
#include "engine/sql.h"

namespace penstock::duckdb {

using engine::quote_identifier;
using flow::SchemaChange;

bool has_field(const data::Schema& schema, std::string_view name) {
    return std::ranges::any_of(schema.fields, [&](const auto& field) { return same_name(field.name, name); });
}

bool rebuilds(const flow::TableTarget& target) {
    bool mirror = target.whole && target.mode == flow::Mode::merge && target.deletes == flow::Deletes::hard;
    return target.mode == flow::Mode::replace || target.full_refresh || mirror;
}

Shape new_shape(const flow::TableTarget& target) {
    Shape shape;
    const auto& fields = target.info.schema.fields;
    for (size_t i = 0; i < fields.size(); ++i)
        shape.columns.push_back(
            {.field = i, .source = fields[i].name, .name = fields[i].name, .type = fields[i].type, .fresh = true});
    return shape;
}

bool renumbered(const flow::TableTarget& target, const TargetTable& found) {
    if (!found.recorded) return false;
    return std::ranges::any_of(target.info.schema.fields, [&](const data::Field& field) {
        auto recorded = std::ranges::find_if(found.recorded->fields,
                                             [&](const auto& before) { return same_name(before.name, field.name); });
        return recorded != found.recorded->fields.end() &&
               (recorded->source_id != field.source_id || recorded->source_relation != field.source_relation);
    });
}

Shape rebuilt_shape(const flow::TableTarget& target, const TargetTable& found) {
    Shape shape = new_shape(target);
    auto decide = [&](const std::string& column, const char* change, std::string detail) {
        const char* decision = target.schema_change == SchemaChange::evolve ? "applied" : "refused";
        shape.decisions.push_back(
            {.column = column, .change = change, .decision = decision, .detail = std::move(detail)});
    };
    for (const auto& field : target.info.schema.fields) {
        const auto* column = found.find(field.name);
        if (column == nullptr) {
            decide(field.name, "column_added", fmt::format("{} {}", field.name, engine::sql_type(field.type)));
        } else if (!column->type || *column->type != field.type) {
            decide(field.name, "type_changed", fmt::format("{} -> {}", column->sql_type, engine::sql_type(field.type)));
        }
    }
    if (renumbered(target, found))
        shape.decisions.push_back({.change = "source_identified",
                                   .decision = "applied",
                                   .detail = "the source's columns of the same names are other ones now"});
    for (const auto& column : found.columns)
        if (!has_field(target.info.schema, column.name) && !is_own_column(target, column.name))
            decide(column.name, "column_dropped", "the rebuilt table does not have it");
    return shape;
}

std::string create_table_sql(const engine::TableName& name, const flow::TableTarget& target, const Shape& shape,
                             engine::Storage storage) {
    std::string columns;
    for (const auto& column : shape.columns) {
        if (!columns.empty()) columns += ", ";
        columns += quote_identifier(column.name) + " " + engine::sql_type(column.type);
        const auto& field = target.info.schema.fields[column.field];
        auto compression = engine::choose_compression(field, target.info.estimated_rows, storage);
        if (!compression.empty() && !column.cast) columns += fmt::format(" USING COMPRESSION {}", compression);
    }
    return fmt::format("CREATE TABLE {} ({}{})", name.quoted(), columns, own_columns_sql(target));
}

}  // namespace penstock::duckdb
