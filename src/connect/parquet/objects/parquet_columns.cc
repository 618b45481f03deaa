#include "connect/parquet/objects/parquet_columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/parquet/objects/content.h"
#include "engine/sql.h"

namespace penstock::parquet {
namespace {

using data::Kind;
using engine::quote_identifier;

/// What DuckDB has and no Kind is. Each keeps its values; nanoseconds only where they are whole microseconds.
std::optional<ParquetColumn> other_type(const std::string& name, const std::string& sql_type) {
    std::string quoted = quote_identifier(name);
    auto as = [&](Kind kind, const char* type, std::string fault = "") {
        return ParquetColumn{name, data::scalar(kind), fmt::format("CAST({} AS {})", quoted, type), std::move(fault)};
    };
    std::string odd_nanos = fmt::format("(epoch_ns({}) % 1000) <> 0", quoted);
    if (sql_type == "TINYINT" || sql_type == "UTINYINT") return as(Kind::int16, "SMALLINT");
    if (sql_type == "USMALLINT") return as(Kind::int32, "INTEGER");
    if (sql_type == "TIMESTAMP_S" || sql_type == "TIMESTAMP_MS") return as(Kind::timestamp, "TIMESTAMP");
    if (sql_type == "TIMESTAMP_NS") return as(Kind::timestamp, "TIMESTAMP", odd_nanos);
    if (sql_type == "TIME_NS") return as(Kind::time, "TIME", odd_nanos);
    if (sql_type.starts_with("ENUM")) return as(Kind::text, "VARCHAR");
    // Parquet's times have no offset: UTC is what they refer to.
    if (sql_type == "TIME WITH TIME ZONE") return as(Kind::time, "TIME");
    return std::nullopt;
}

/// Whether a type, or one inside of it, is one that files hold and columns of targets do not.
bool is_strange(const data::Type& type) {
    if (type.kind == Kind::interval || type.kind == Kind::timetz) return true;
    return std::ranges::any_of(type.children, [](const auto& child) { return is_strange(child.type); });
}

int integer_width(Kind kind) {
    switch (kind) {
        case Kind::int16: return 16;
        case Kind::int32: return 32;
        case Kind::int64: return 64;
        default: return 0;
    }
}

bool widens(const data::Type& from, const data::Type& to) {
    if (from == to) return true;
    if (integer_width(from.kind) > 0 && integer_width(to.kind) > 0)
        return integer_width(from.kind) <= integer_width(to.kind);
    if (from.kind == Kind::uint32 && to.kind == Kind::int64) return true;
    if (from.kind == Kind::float32 && to.kind == Kind::float64) return true;
    if (from.kind == Kind::decimal && to.kind == Kind::decimal)
        return from.scale <= to.scale && from.precision - from.scale <= to.precision - to.scale;
    return false;
}

Error columns_differ(const std::string& url, std::string what) {
    return {.kind = ErrorKind::schema,
            .code = "columns_differ",
            .message = fmt::format("{} does not have the columns of the newest file: {}", url, what),
            .hint =
                "the newest file says what the table's columns are: read files of another shape by a pipeline of "
                "their own, or name them in `exclude`"};
}

/// DuckDB cuts such times off without a word.
Status check_nanoseconds(engine::Connection& connection, const std::string& path, const std::string& url) {
    PN_TRY(auto found, connection.query(fmt::format(
                           "SELECT name FROM parquet_schema({}) WHERE contains(logical_type, 'isAdjustedToUTC=1') AND "
                           "contains(logical_type, 'NANOS=Nano')",
                           engine::quote_literal(path))));
    if (found.empty()) return {};
    return fail({.kind = ErrorKind::schema,
                 .code = "type_not_held",
                 .message = fmt::format("column {} of {} has nanoseconds of UTC, and no column here does",
                                        found.text(0, 0), url),
                 .hint = "write the file with microseconds: coerce_timestamps=\"us\" of pyarrow and pandas"});
}

}  // namespace

std::string parquet_rows_of(const std::string& path) {
    return fmt::format("read_parquet({}, file_row_number = true, hive_partitioning = false)",
                       engine::quote_literal(path));
}

Result<std::vector<ParquetColumn>> parquet_columns(engine::Connection& connection, const std::string& path,
                                                   const std::string& url) {
    auto found = engine::columns_of(connection, fmt::format("SELECT * FROM read_parquet({}, hive_partitioning = false)",
                                                            engine::quote_literal(path)));
    if (!found) {
        if (found.error().kind == ErrorKind::interrupted) return fail(std::move(found.error()));
        return fail(object_damaged(url, found.error().message));
    }
    PN_CHECK(check_nanoseconds(connection, path, url));
    std::vector<ParquetColumn> columns;
    for (const auto& column : *found) {
        if (auto other = other_type(column.name, column.sql_type)) {
            columns.push_back(std::move(*other));
        } else if (column.type && !is_strange(*column.type)) {
            columns.push_back({column.name, *column.type, quote_identifier(column.name), ""});
        } else {
            return fail({.kind = ErrorKind::schema,
                         .code = "type_not_held",
                         .message = fmt::format("column {} of {} is {}, which no column here can hold exactly",
                                                column.name, url, column.sql_type),
                         .hint = "write the file with another type of column, or without it"});
        }
    }
    return columns;
}

Result<ParquetSelect> parquet_select(const std::vector<ParquetColumn>& file, const events::EventTable& table,
                                     const std::string& url) {
    ParquetSelect out;
    for (const auto& column : file)
        if (table.fields.find(column.name) < 0)
            return fail(columns_differ(url, fmt::format("it has {} besides", column.name)));
    for (const auto& wanted : table.fields.children) {
        auto found = std::ranges::find(file, wanted.name, &ParquetColumn::name);
        auto type = engine::sql_type(wanted.type);
        if (found == file.end()) {
            out.values.push_back(fmt::format("CAST(NULL AS {})", type));
            continue;
        }
        if (!widens(found->type, wanted.type))
            return fail(columns_differ(url, fmt::format("{} is {}, and there {}", wanted.name,
                                                        data::to_string(found->type), data::to_string(wanted.type))));
        out.values.push_back(found->type == wanted.type ? found->value
                                                        : fmt::format("CAST({} AS {})", found->value, type));
        if (!found->fault.empty()) out.faults.emplace_back(found->name, found->fault);
    }
    return out;
}

}  // namespace penstock::parquet
