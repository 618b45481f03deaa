#include "connect/duckdb/read_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/humane.h"
#include "base/letters.h"
#include "config/suggest.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

using data::Kind;
using engine::quote_identifier;
using engine::quote_literal;

bool is_number(Kind kind) {
    return kind == Kind::int16 || kind == Kind::int32 || kind == Kind::int64 || kind == Kind::uint32 ||
           kind == Kind::uint64 || kind == Kind::decimal;
}

bool has_infinity(Kind kind) { return kind == Kind::date || kind == Kind::timestamp || kind == Kind::timestamptz; }

/// The type that a column comes as: its own, unless the target holds no such.
data::Type held_as(const data::Type& type, const data::Holds& holds) {
    bool as_text = (type.kind == Kind::timetz && !holds.timetz) || (type.kind == Kind::interval && !holds.interval);
    if (as_text) return data::scalar(Kind::text);
    data::Type out = type;
    for (auto& child : out.children) child.type = held_as(child.type, holds);
    return out;
}

/// SQL that is true where a value, or one inside it, is none that the target holds; "" where there is none such.
std::string unheld_in(const data::Type& type, const std::string& value, const data::Holds& holds, int depth) {
    if (has_infinity(type.kind)) return holds.infinite_dates ? "" : fmt::format("isinf({})", value);
    if (type.kind == Kind::time) return holds.end_of_day ? "" : fmt::format("{} = TIME '24:00:00'", value);
    auto any_of = [&](const std::string& list, const data::Type& element) {
        std::string name = fmt::format("penstock_{}", depth);
        auto inner = unheld_in(element, name, holds, depth + 1);
        return inner.empty() ? "" : fmt::format("list_bool_or(list_transform({}, lambda {}: {}))", list, name, inner);
    };
    if (type.kind == Kind::list) return any_of(value, type.children.front().type);
    if (type.kind == Kind::map) return any_of(fmt::format("map_entries({})", value), type.children.front().type);
    std::string out;
    for (const auto& field : type.children) {
        auto inner = unheld_in(field.type, fmt::format("struct_extract({}, {})", value, quote_literal(field.name)),
                               holds, depth);
        if (!inner.empty()) out += fmt::format("{}coalesce({}, false)", out.empty() ? "" : " OR ", inner);
    }
    return out.empty() ? out : fmt::format("({})", out);
}

class Planner {
  public:
    Planner(engine::Connection& connection, const SourceOptions& options, const data::Holds& holds)
        : connection_(connection), options_(options), holds_(holds) {}

    Result<std::vector<TableRead>> plan() {
        std::vector<TableRead> reads;
        if (!options_.query.empty()) {
            PN_TRY(auto read, query());
            reads.push_back(std::move(read));
            return reads;
        }
        PN_TRY(auto names, chosen());
        for (const auto& name : names) {
            PN_TRY(auto read, table(name));
            reads.push_back(std::move(read));
        }
        return reads;
    }

  private:
    struct Listed {
        std::string name;  ///< schema.table
        bool view = false;
        int64_t rows = -1;
        std::string comment;
    };

    Status list() {
        PN_TRY(auto rows,
               connection_.query(
                   "SELECT schema_name || '.' || table_name, false, estimated_size::BIGINT, "
                   "coalesce(comment::VARCHAR, '') FROM duckdb_tables() WHERE NOT internal AND NOT temporary AND "
                   "database_name = current_database() UNION ALL SELECT schema_name || '.' || view_name, true, "
                   "-1, coalesce(comment::VARCHAR, '') FROM duckdb_views() WHERE NOT internal AND NOT temporary AND "
                   "database_name = current_database() ORDER BY 1"));
        for (size_t i = 0; i < rows.rows.size(); ++i)
            listed_.push_back({rows.text(i, 0), rows.text(i, 1) == "true", rows.number(i, 2), rows.text(i, 3)});
        return {};
    }

    Result<std::vector<Listed>> chosen() {
        PN_CHECK(list());
        std::vector<Listed> out;
        auto add = [&](const Listed& one) {
            auto is = [&](const auto& other) { return other.name == one.name; };
            if (std::ranges::none_of(out, is)) out.push_back(one);
        };
        auto wanted = options_.tables;
        if (!options_.table.empty()) wanted.push_back(options_.table);
        for (const auto& pattern : wanted) {
            if (pattern.value.find_first_of("*?") == std::string::npos) {
                PN_TRY(auto one, named(pattern));
                add(one);
                continue;
            }
            for (const auto& one : listed_)
                if (!one.view && fits(one, pattern.value)) add(one);
        }
        std::erase_if(out, [&](const Listed& one) {
            return std::ranges::any_of(options_.exclude, [&](const auto& pattern) { return fits(one, pattern.value); });
        });
        if (!out.empty()) return out;
        return fail({.kind = ErrorKind::configuration,
                     .code = "no_tables",
                     .message = "no table matches the source's `tables`",
                     .where = options_.connection.place.text(),
                     .hint = "patterns are schema.table with * and ?"});
    }

    static bool fits(const Listed& one, const std::string& pattern) {
        bool own = one.name.starts_with("penstock.") || one.name.find("__staging_") != std::string::npos;
        return !own && matches(one.name, pattern.find('.') == pattern.npos ? "main." + pattern : pattern);
    }

    /// DuckDB folds case when it compares names.
    Result<Listed> named(const config::Text& name) const {
        auto wanted = engine::TableName::parse(name.value);
        auto full = lower_case(wanted.schema + "." + wanted.table);
        for (const auto& one : listed_)
            if (lower_case(one.name) == full) return one;
        std::vector<std::string> names;
        for (const auto& one : listed_) names.push_back(one.name);
        return fail({.kind = ErrorKind::configuration,
                     .code = "no_such_table",
                     .message = fmt::format("there is no table or view {}{}", name.value,
                                            config::did_you_mean(wanted.schema + "." + wanted.table, names)),
                     .where = name.place.text(),
                     .hint = "name it as schema.table; a table without schema is one of schema main"});
    }

    Result<TableRead> table(const Listed& listed) {
        auto name = engine::TableName::parse(listed.name);
        TableRead read{.info = {.name = listed.name, .schema = {}}, .from = name.quoted()};
        read.info.estimated_rows = listed.rows;
        read.info.description = listed.comment;
        auto of = fmt::format("database_name = current_database() AND schema_name = {} AND table_name = {}",
                              quote_literal(name.schema), quote_literal(name.table));
        PN_TRY(auto key, connection_.query("SELECT unnest(constraint_column_names) FROM duckdb_constraints() WHERE "
                                           "constraint_type = 'PRIMARY KEY' AND " +
                                           of));
        for (size_t i = 0; i < key.rows.size(); ++i) read.info.key.push_back(key.text(i, 0));
        read.info.key_is_unique = !read.info.key.empty();
        PN_TRY(auto strict,
               connection_.query("SELECT column_name FROM duckdb_columns() WHERE NOT is_nullable AND " + of));
        std::vector<std::string> required;
        for (size_t i = 0; i < strict.rows.size(); ++i) required.push_back(strict.text(i, 0));
        PN_CHECK(complete(read, required));
        return read;
    }

    Result<TableRead> query() {
        std::string text = options_.query.value;
        while (!text.empty() && (std::isspace(static_cast<unsigned char>(text.back())) != 0 || text.back() == ';'))
            text.pop_back();
        // A line comment at the end must not swallow the bracket.
        TableRead read{.info = {.name = "query", .schema = {}}, .from = fmt::format("(\n{}\n) AS query", text)};
        PN_CHECK(complete(read, {}));
        return read;
    }

    Status complete(TableRead& read, const std::vector<std::string>& required) {
        read.where = options_.where.value;
        auto described = engine::columns_of(connection_, "SELECT * FROM " + read.from);
        if (!described) return fail(not_understood(std::move(described.error())));
        for (const auto& column : *described) {
            auto type = column.type ? column.type : column.nearest;
            if (!type) return fail(unread(read, column));
            auto held = held_as(*type, holds_);
            bool as_it_is = column.type && held == *column.type;
            std::string name = quote_identifier(column.name);
            read.expressions.push_back(
                as_it_is ? name : fmt::format("CAST({} AS {}) AS {}", name, engine::sql_type(held), name));
            if (auto condition = unheld_in(held, name, holds_, 0); !condition.empty())
                read.unheld.push_back({column.name, fmt::format("coalesce({}, false)", condition), "special_time",
                                       "the target cannot hold an infinite date or timestamp, or the time 24:00:00"});
            bool nullable = std::ranges::find(required, column.name) == required.end();
            read.info.schema.fields.push_back(
                {.name = column.name, .type = std::move(held), .nullable = nullable, .source_type = column.sql_type});
        }
        return set_cursor(read, *described);
    }

    /// A query, or a view, that DuckDB refuses before it runs.
    Error not_understood(Error error) const {
        bool query = !options_.query.empty();
        error.kind = ErrorKind::configuration;
        error.code = "bad_query";
        error.where = (query ? options_.query : options_.connection).place.text();
        if (error.hint.empty())
            error.hint = query ? "mend the query: tables are named as schema.table of the connection's file"
                               : "mend the view, or leave it out";
        return error;
    }

    Error unread(const TableRead& read, const engine::TargetColumn& column) const {
        return {.kind = ErrorKind::configuration,
                .code = "unsupported_type",
                .message = fmt::format("column {} of {} has type {}, which is not read", column.name, read.info.name,
                                       column.sql_type),
                .where = (options_.query.empty() ? options_.connection : options_.query).place.text(),
                .hint = "read by `query:` and cast it there, to VARCHAR or JSON for example"};
    }

    Status set_cursor(TableRead& read, const std::vector<engine::TargetColumn>& columns) const {
        const auto& wanted = options_.cursor;
        if (wanted.empty()) return {};
        auto found = std::ranges::find_if(
            columns, [&](const auto& column) { return lower_case(column.name) == lower_case(wanted.value); });
        if (found == columns.end()) {
            std::vector<std::string> names;
            for (const auto& column : columns) names.push_back(column.name);
            return fail({.kind = ErrorKind::configuration,
                         .code = "no_such_column",
                         .message = fmt::format("{} has no column {} for the cursor{}", read.info.name, wanted.value,
                                                config::did_you_mean(wanted.value, names)),
                         .where = wanted.place.text(),
                         .hint = fmt::format("its columns are {}", fmt::join(names, ", "))});
        }
        auto kind = (found->type ? *found->type : found->nearest.value_or(data::Type{})).kind;
        if (!is_number(kind) && !has_infinity(kind))
            return fail(
                {.kind = ErrorKind::configuration,
                 .code = "cursor_type",
                 .message = fmt::format("column {} of {} has type {}, which cannot be a cursor: its order is not that "
                                        "of insertion",
                                        found->name, read.info.name, found->sql_type),
                 .where = wanted.place.text(),
                 .hint = "choose a whole number, DECIMAL, DATE or TIMESTAMP that grows with each insert and update"});
        const auto& field = read.info.schema.fields[static_cast<size_t>(found - columns.begin())];
        read.info.cursor = found->name;
        read.cursor = {.column = quote_identifier(found->name),
                       .type = found->sql_type,
                       .times = has_infinity(kind),
                       .nullable = field.nullable};
        if (options_.cursor_lag.empty()) {
            read.info.notes.push_back(
                "rows that are written late, below the largest cursor read before, are not found; set cursor_lag");
            return {};
        }
        PN_TRY(read.cursor.lag, lag(kind));
        return {};
    }

    Result<std::string> lag(Kind kind) const {
        const auto& lag = options_.cursor_lag;
        if (!is_number(kind)) {
            auto parsed = parse_duration(lag.value);
            if (!parsed) return fail(std::move(parsed.error()).at(lag.place.text()));
            constexpr int64_t day = int64_t{86'400} * 1'000'000;
            if (kind == Kind::date) return fmt::format("to_days({})", (parsed->count() + day - 1) / day);
            return fmt::format("to_microseconds({})", parsed->count());
        }
        bool digits = !lag.value.empty() && lag.value.size() <= 18 &&
                      std::ranges::all_of(lag.value, [](char c) { return c >= '0' && c <= '9'; });
        if (digits) return lag.value;
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "cursor_lag",
             .message = fmt::format("cursor_lag '{}' is not a whole number, and the cursor is a number", lag.value),
             .where = lag.place.text(),
             .hint = "write how many values to read again, such as 10000"});
    }

    engine::Connection& connection_;
    const SourceOptions& options_;
    const data::Holds& holds_;
    std::vector<Listed> listed_;
};

}  // namespace

std::string ReadCursor::literal(const std::string& text) const {
    return fmt::format("CAST({} AS {})", quote_literal(text), type);
}

std::string ReadCursor::newer_than(const std::string& last) const {
    if (!any() || last.empty()) return "";
    std::string bound = literal(last);
    // A difference below the type's smallest value is below every row.
    if (lag.starts_with("to_")) bound = fmt::format("({} - {})", bound, lag);
    else if (!lag.empty()) bound = fmt::format("(CAST({} AS DECIMAL(38, 9)) - {})", bound, lag);
    std::string from = fmt::format("{} >= {}", column, bound);
    return nullable ? fmt::format("({} OR {} IS NULL)", from, column) : from;
}

std::string TableRead::rows(const std::string& condition) const {
    std::string out = "FROM " + from;
    // A line comment at the end of the user's condition must not swallow the bracket.
    if (!where.empty()) out += fmt::format(" WHERE ({}\n)", where);
    if (!condition.empty()) out += fmt::format(" {} ({})", where.empty() ? "WHERE" : "AND", condition);
    return out;
}

std::string TableRead::select(const std::string& condition, int64_t limit) const {
    std::string held = condition;
    for (const auto& one : unheld) held += fmt::format("{}NOT {}", held.empty() ? "" : " AND ", one.condition);
    auto out = fmt::format("SELECT {} {}", fmt::join(expressions, ", "), rows(held));
    return limit < 0 ? out : fmt::format("{} LIMIT {}", out, limit);
}

std::string TableRead::refused(const std::string& condition, int64_t limit) const {
    std::string which = "CASE", any, payload;
    for (size_t i = 0; i < unheld.size(); ++i) {
        which += fmt::format(" WHEN {} THEN {}", unheld[i].condition, i);
        any += fmt::format("{}{}", i == 0 ? "" : " OR ", unheld[i].condition);
    }
    for (const auto& field : info.schema.fields)
        payload += fmt::format("{}{}, CAST({} AS VARCHAR)", payload.empty() ? "" : ", ", quote_literal(field.name),
                               quote_identifier(field.name));
    std::string named;
    for (const auto& name : key)
        named += fmt::format("{}{}, CAST({} AS VARCHAR)", named.empty() ? "" : ", ", quote_literal(name),
                             quote_identifier(name));
    std::string all = condition.empty() ? fmt::format("({})", any) : fmt::format("({}) AND ({})", condition, any);
    auto out = fmt::format("SELECT CAST({} END AS INTEGER), CAST(json_object({}) AS VARCHAR), {} {}", which, payload,
                           named.empty() ? "''" : fmt::format("CAST(json_object({}) AS VARCHAR)", named), rows(all));
    return limit < 0 ? out : fmt::format("{} LIMIT {}", out, limit);
}

std::string TableRead::largest(const std::string& condition, const std::string& last) const {
    std::string value = fmt::format("max({})", cursor.column);
    // Rows at infinity are read each time, and are no place to go on from.
    if (cursor.times) value += fmt::format(" FILTER (WHERE isfinite({}))", cursor.column);
    if (!last.empty()) value = fmt::format("greatest({}, {})", value, cursor.literal(last));
    return fmt::format("SELECT CAST({} AS VARCHAR) {}", value, rows(condition));
}

std::string TableRead::sequence() const {
    return fmt::format("{} {} | {} | {}", cursor.column, cursor.type, from, where);
}

Result<std::vector<TableRead>> plan_reads(engine::Connection& connection, const SourceOptions& options,
                                          const data::Holds& holds) {
    return Planner(connection, options, holds).plan();
}

}  // namespace penstock::duckdb
