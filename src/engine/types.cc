#include "engine/types.h"

#include <fmt/format.h>

#include <utility>

#include "engine/error.h"
#include "engine/sql.h"

namespace penstock::engine {
namespace {

using data::Kind;

struct Entry {
    duckdb_type type;
    const char* name;
};

/// The kinds without parts. Decimals and nested kinds are built from theirs.
Entry simple_type(Kind kind) {
    switch (kind) {
        case Kind::boolean: return {DUCKDB_TYPE_BOOLEAN, "BOOLEAN"};
        case Kind::int16: return {DUCKDB_TYPE_SMALLINT, "SMALLINT"};
        case Kind::int32: return {DUCKDB_TYPE_INTEGER, "INTEGER"};
        case Kind::int64: return {DUCKDB_TYPE_BIGINT, "BIGINT"};
        case Kind::uint32: return {DUCKDB_TYPE_UINTEGER, "UINTEGER"};
        case Kind::uint64: return {DUCKDB_TYPE_UBIGINT, "UBIGINT"};
        case Kind::float32: return {DUCKDB_TYPE_FLOAT, "FLOAT"};
        case Kind::float64: return {DUCKDB_TYPE_DOUBLE, "DOUBLE"};
        case Kind::text: return {DUCKDB_TYPE_VARCHAR, "VARCHAR"};
        case Kind::json: return {DUCKDB_TYPE_VARCHAR, "JSON"};  // told apart by its alias
        case Kind::bytes: return {DUCKDB_TYPE_BLOB, "BLOB"};
        case Kind::uuid: return {DUCKDB_TYPE_UUID, "UUID"};
        case Kind::date: return {DUCKDB_TYPE_DATE, "DATE"};
        case Kind::time: return {DUCKDB_TYPE_TIME, "TIME"};
        case Kind::timetz: return {DUCKDB_TYPE_TIME_TZ, "TIME WITH TIME ZONE"};
        case Kind::timestamp: return {DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP"};
        case Kind::timestamptz: return {DUCKDB_TYPE_TIMESTAMP_TZ, "TIMESTAMP WITH TIME ZONE"};
        case Kind::interval: return {DUCKDB_TYPE_INTERVAL, "INTERVAL"};
        case Kind::decimal: return {DUCKDB_TYPE_DECIMAL, "DECIMAL"};
        case Kind::list: return {DUCKDB_TYPE_LIST, "LIST"};
        case Kind::structure: return {DUCKDB_TYPE_STRUCT, "STRUCT"};
        case Kind::map: return {DUCKDB_TYPE_MAP, "MAP"};
    }
    std::unreachable();
}

const std::vector<data::Field>& entry_of(const data::Type& map) { return map.children.front().type.children; }

LogicalType structure_type(const data::Type& type) {
    std::vector<LogicalType> owned;
    std::vector<duckdb_logical_type> types;
    std::vector<const char*> names;
    for (const auto& field : type.children) {
        owned.push_back(logical_type(field.type));
        types.push_back(owned.back().get());
        names.push_back(field.name.c_str());
    }
    return LogicalType(duckdb_create_struct_type(types.data(), names.data(), types.size()));
}

enum class Match { exact, nearest };

/// The other direction of the table; empty where DuckDB has a type that no Kind is stored as, or that no Kind says all of.
std::optional<data::Type> type_of(duckdb_logical_type type, Match match = Match::exact);

/// What says every value of a type that no Kind is stored as. Of the 39 digits of the largest HUGEINT, 38.
std::optional<data::Type> nearest_of(duckdb_logical_type type) {
    switch (duckdb_get_type_id(type)) {
        case DUCKDB_TYPE_TINYINT:
        case DUCKDB_TYPE_UTINYINT: return data::scalar(Kind::int16);
        case DUCKDB_TYPE_USMALLINT: return data::scalar(Kind::int32);
        case DUCKDB_TYPE_HUGEINT:
        case DUCKDB_TYPE_UHUGEINT: return data::decimal(38, 0);
        case DUCKDB_TYPE_TIMESTAMP_S:
        case DUCKDB_TYPE_TIMESTAMP_MS: return data::scalar(Kind::timestamp);
        case DUCKDB_TYPE_TIMESTAMP_NS:
        case DUCKDB_TYPE_ENUM:
        case DUCKDB_TYPE_BIT: return data::scalar(Kind::text);
        case DUCKDB_TYPE_ARRAY: {
            LogicalType child(duckdb_array_type_child_type(type));
            auto element = type_of(child.get(), Match::nearest);
            if (!element) return {};
            return data::list_of(std::move(*element));
        }
        default: return {};
    }
}

std::optional<data::Type> decimal_of(duckdb_logical_type type) {
    return data::decimal(duckdb_decimal_width(type), duckdb_decimal_scale(type));
}

std::optional<data::Type> structure_of(duckdb_logical_type type, Match match) {
    std::vector<data::Field> fields;
    for (idx_t i = 0; i < duckdb_struct_type_child_count(type); ++i) {
        LogicalType child(duckdb_struct_type_child_type(type, i));
        auto child_type = type_of(child.get(), match);
        if (!child_type) return {};
        char* name = duckdb_struct_type_child_name(type, i);
        fields.push_back({.name = name, .type = std::move(*child_type)});
        duckdb_free(name);
    }
    return data::structure_of(std::move(fields));
}

std::optional<data::Type> map_of(duckdb_logical_type type, Match match) {
    LogicalType key(duckdb_map_type_key_type(type));
    LogicalType value(duckdb_map_type_value_type(type));
    auto key_type = type_of(key.get(), match);
    auto value_type = type_of(value.get(), match);
    if (!key_type || !value_type) return {};
    return data::map_of(std::move(*key_type), std::move(*value_type));
}

bool is_json(duckdb_logical_type type) {
    char* alias = duckdb_logical_type_get_alias(type);
    bool json = alias != nullptr && std::string_view(alias) == "JSON";
    duckdb_free(alias);
    return json;
}

std::optional<data::Type> type_of(duckdb_logical_type type, Match match) {
    duckdb_type id = duckdb_get_type_id(type);
    switch (id) {
        case DUCKDB_TYPE_DECIMAL: return decimal_of(type);
        case DUCKDB_TYPE_STRUCT: return structure_of(type, match);
        case DUCKDB_TYPE_MAP: return map_of(type, match);
        case DUCKDB_TYPE_LIST: {
            LogicalType child(duckdb_list_type_child_type(type));
            auto element = type_of(child.get(), match);
            if (!element) return {};
            return data::list_of(std::move(*element));
        }
        case DUCKDB_TYPE_VARCHAR: return data::scalar(is_json(type) ? Kind::json : Kind::text);
        default:
            for (int kind = 0; kind <= static_cast<int>(Kind::interval); ++kind)
                if (simple_type(static_cast<Kind>(kind)).type == id) return data::scalar(static_cast<Kind>(kind));
            return match == Match::nearest ? nearest_of(type) : std::nullopt;
    }
}

}  // namespace

LogicalType logical_type(const data::Type& type) {
    switch (type.kind) {
        case Kind::decimal: return LogicalType(duckdb_create_decimal_type(type.precision, type.scale));
        case Kind::structure: return structure_type(type);
        case Kind::list: return LogicalType(duckdb_create_list_type(logical_type(type.children.front().type).get()));
        case Kind::map: {
            const auto& entry = entry_of(type);
            return LogicalType(
                duckdb_create_map_type(logical_type(entry[0].type).get(), logical_type(entry[1].type).get()));
        }
        default: {
            LogicalType simple(duckdb_create_logical_type(simple_type(type.kind).type));
            if (type.kind == Kind::json) duckdb_logical_type_set_alias(simple.get(), "JSON");
            return simple;
        }
    }
}

std::string sql_type(const data::Type& type) {
    switch (type.kind) {
        case Kind::decimal: return fmt::format("DECIMAL({},{})", type.precision, type.scale);
        case Kind::list: return sql_type(type.children.front().type) + "[]";
        case Kind::map: {
            const auto& entry = entry_of(type);
            return fmt::format("MAP({}, {})", sql_type(entry[0].type), sql_type(entry[1].type));
        }
        case Kind::structure: {
            std::string fields;
            for (const auto& field : type.children)
                fields += fmt::format("{}{} {}", fields.empty() ? "" : ", ", quote_identifier(field.name),
                                      sql_type(field.type));
            return fmt::format("STRUCT({})", fields);
        }
        default: return simple_type(type.kind).name;
    }
}

Result<std::vector<TargetColumn>> columns_of(Connection& connection, const std::string& select) {
    PN_TRY(Rows described, connection.query("DESCRIBE " + select));
    duckdb_prepared_statement statement = nullptr;
    auto state = duckdb_prepare(connection.native(), select.c_str(), &statement);
    std::vector<TargetColumn> columns;
    for (size_t i = 0; state == DuckDBSuccess && i < described.rows.size(); ++i) {
        LogicalType type(duckdb_prepared_statement_column_logical_type(statement, i));
        TargetColumn column{
            .name = described.text(i, 0), .sql_type = described.text(i, 1), .type = type_of(type.get())};
        if (!column.type) column.nearest = type_of(type.get(), Match::nearest);
        columns.push_back(std::move(column));
    }
    Error error = state == DuckDBError ? error_from(DUCKDB_ERROR_INVALID, duckdb_prepare_error(statement)) : Error{};
    duckdb_destroy_prepare(&statement);
    if (state == DuckDBError) return fail(std::move(error));
    return columns;
}

}  // namespace penstock::engine
