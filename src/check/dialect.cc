#include "check/dialect.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::check {
namespace {

using data::Kind;

std::string escaped(std::string_view text, char quote) {
    std::string out(1, quote);
    for (char c : text) {
        if (c == '\n') out += "\\n";
        else if (c == '\r') out += "\\r";
        else if (c == '\\' || c == quote) out += {'\\', c};
        else out += c;
    }
    return out + quote;
}

std::string listed(const std::vector<std::string>& items) {
    std::string all;
    for (const auto& item : items) all += (all.empty() ? "" : ", ") + item;
    return all;
}

class DuckDb : public Dialect {
  public:
    std::string name(std::string_view identifier) const override { return engine::quote_identifier(identifier); }
    std::string literal(std::string_view text) const override { return engine::quote_literal(text); }
    std::string text(const std::string& value) const override { return fmt::format("CAST({} AS VARCHAR)", value); }
    std::string typed(std::string_view text, const data::Type& type) const override {
        const char* sql = "VARCHAR";
        switch (type.kind) {
            case Kind::boolean: sql = "BOOLEAN"; break;
            case Kind::date: sql = "DATE"; break;
            case Kind::time: sql = "TIME"; break;
            case Kind::timetz: sql = "TIMETZ"; break;
            case Kind::timestamp: sql = "TIMESTAMP"; break;
            case Kind::timestamptz: sql = "TIMESTAMPTZ"; break;
            case Kind::interval: sql = "INTERVAL"; break;
            case Kind::uuid: sql = "UUID"; break;
            default: return literal(text);
        }
        return fmt::format("CAST({} AS {})", literal(text), sql);
    }
    std::string real(const std::string& value) const override { return fmt::format("CAST({} AS DOUBLE)", value); }
    std::string count_where(const std::string& condition) const override {
        return fmt::format("count(*) FILTER (WHERE {})", condition);
    }
    std::string matches(const std::string& value, const std::string& pattern) const override {
        return fmt::format("regexp_matches({}, {})", text(value), literal(pattern));
    }
    std::string like(const std::string& value, std::string_view pattern) const override {
        return fmt::format("{} LIKE {}", text(value), literal(pattern));
    }
    std::string characters(const std::string& value) const override { return fmt::format("length({})", text(value)); }
    std::string is_json(const std::string& value) const override { return fmt::format("json_valid({})", text(value)); }
    std::string json(const std::string& value) const override {
        return fmt::format("CAST(to_json({}) AS VARCHAR)", value);
    }
    std::string json_of(const std::vector<std::string>& columns) const override {
        std::string members;
        for (const auto& column : columns)
            members += fmt::format("{}{}, {}", members.empty() ? "" : ", ", literal(column), name(column));
        return fmt::format("CAST(json_object({}) AS VARCHAR)", members);
    }
    std::string json_of_row(std::string_view alias) const override {
        return fmt::format("CAST(to_json({}) AS VARCHAR)", alias);
    }
    std::string median(const std::string& value, const std::string& table) const override {
        return fmt::format("SELECT median({}) AS v FROM {}", real(value), table);
    }
    std::string together(const std::vector<std::string>& columns) const override {
        std::vector<std::string> quoted;
        for (const auto& column : columns) quoted.push_back(name(column));
        return fmt::format("row({})", listed(quoted));
    }
    std::string age(const std::string& value, const data::Type&) const override {
        return fmt::format("(epoch(now()) - epoch({}))", value);
    }
    std::string all_as_text(const std::string& query) const override {
        return fmt::format("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({}\n) AS q", query);
    }
    std::string row_order() const override { return "rowid"; }
};

class BigQuery : public Dialect {
  public:
    std::string name(std::string_view identifier) const override { return escaped(identifier, '`'); }
    std::string literal(std::string_view text) const override { return escaped(text, '\''); }
    std::string text(const std::string& value) const override { return fmt::format("CAST({} AS STRING)", value); }
    std::string typed(std::string_view text, const data::Type& type) const override {
        const char* sql = "STRING";
        switch (type.kind) {
            case Kind::boolean: sql = "BOOL"; break;
            case Kind::date: sql = "DATE"; break;
            case Kind::time: sql = "TIME"; break;
            case Kind::timestamp: sql = "DATETIME"; break;
            case Kind::timestamptz: sql = "TIMESTAMP"; break;
            default: return literal(text);
        }
        return fmt::format("CAST({} AS {})", literal(text), sql);
    }
    std::string real(const std::string& value) const override { return fmt::format("CAST({} AS FLOAT64)", value); }
    std::string count_where(const std::string& condition) const override {
        return fmt::format("COUNTIF({})", condition);
    }
    std::string matches(const std::string& value, const std::string& pattern) const override {
        return fmt::format("REGEXP_CONTAINS({}, {})", text(value), literal(pattern));
    }
    std::string like(const std::string& value, std::string_view pattern) const override {
        return fmt::format("{} LIKE {}", text(value), literal(escaped_pattern(pattern)));
    }
    std::string characters(const std::string& value) const override {
        return fmt::format("CHAR_LENGTH({})", text(value));
    }
    std::string is_json(const std::string& value) const override {
        return fmt::format("(SAFE.PARSE_JSON({}) IS NOT NULL)", text(value));
    }
    std::string json(const std::string& value) const override { return fmt::format("TO_JSON_STRING({})", value); }
    std::string json_of(const std::vector<std::string>& columns) const override {
        std::vector<std::string> quoted;
        for (const auto& column : columns) quoted.push_back(name(column));
        return fmt::format("TO_JSON_STRING(STRUCT({}))", listed(quoted));
    }
    std::string json_of_row(std::string_view alias) const override { return fmt::format("TO_JSON_STRING({})", alias); }
    std::string median(const std::string& value, const std::string& table) const override {
        return fmt::format("SELECT PERCENTILE_CONT({}, 0.5) OVER () AS v FROM {} LIMIT 1", real(value), table);
    }
    std::string together(const std::vector<std::string>& columns) const override { return json_of(columns); }
    std::string age(const std::string& value, const data::Type& type) const override {
        std::string moment = type.kind == Kind::timestamptz ? value : fmt::format("TIMESTAMP({})", value);
        return fmt::format("(TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), {}, MICROSECOND) / 1000000.0)", moment);
    }
    std::string all_as_text(const std::string& query) const override { return query; }  // its answers are
    std::string row_order() const override { return ""; }

  private:
    /// There a backslash in a pattern stands before what means itself.
    static std::string escaped_pattern(std::string_view pattern) {
        std::string out;
        for (char c : pattern) {
            if (c == '\\') out += c;
            out += c;
        }
        return out;
    }
};

}  // namespace

const Dialect* dialect_named(std::string_view name) {
    static const DuckDb duckdb;
    static const BigQuery bigquery;
    if (name == "duckdb") return &duckdb;
    return name == "bigquery" ? &bigquery : nullptr;
}

bool is_number(const data::Type& type) {
    switch (type.kind) {
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64:
        case Kind::float32:
        case Kind::float64:
        case Kind::decimal: return true;
        default: return false;
    }
}

bool is_text(const data::Type& type) { return type.kind == Kind::text; }

}  // namespace penstock::check
