#include "verify/dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/assert.h"
#include "engine/sql.h"

namespace penstock::verify {
namespace {

using data::Kind;

/// PostgreSQL takes no more arguments than 100.
constexpr size_t most_arguments = 90;

std::string escaped(std::string_view text, char quote) {
    std::string out(1, quote);
    for (char c : text) {
        if (c == '\\' || c == quote) out += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\x{:02x}", c);
        else out += c;
    }
    return out + quote;
}

std::string called(std::string_view function, const std::vector<std::string>& texts) {
    std::string out;
    for (size_t i = 0; i < texts.size(); i += most_arguments) {
        std::string list;
        for (size_t j = i; j < std::min(i + most_arguments, texts.size()); ++j) list += (j == i ? "" : ", ") + texts[j];
        out += fmt::format("{}{}({})", out.empty() ? "" : " || ", function, list);
    }
    return out;
}

class Postgres : public Dialect {
  public:
    std::string literal(std::string_view text) const override { return engine::quote_literal(text); }
    std::string identifier(std::string_view name) const override { return engine::quote_identifier(name); }
    std::string hash(const std::string& text, bool utf8) const override {
        std::string bytes = utf8 ? text : fmt::format("pg_catalog.convert_to({}, 'UTF8')", text);
        return fmt::format("('x' || pg_catalog.substr(pg_catalog.md5({}), 1, 15))::bit(60)::bigint", bytes);
    }
    std::string bytes(const std::string& text, bool utf8) const override {
        return utf8 ? fmt::format("pg_catalog.octet_length({})", text)
                    : fmt::format("pg_catalog.octet_length(pg_catalog.convert_to({}, 'UTF8'))", text);
    }
    std::string concat(const std::vector<std::string>& texts) const override {
        return called("pg_catalog.concat", texts);
    }
    std::string sum(const std::string& integers) const override { return fmt::format("sum({})::text", integers); }
    std::string text(const std::string& integer) const override { return fmt::format("({})::text", integer); }
    std::string separator() const override { return "E'\\x1f'"; }
};

class DuckDb : public Dialect {
  public:
    std::string literal(std::string_view text) const override { return engine::quote_literal(text); }
    std::string identifier(std::string_view name) const override { return engine::quote_identifier(name); }
    std::string hash(const std::string& text, bool) const override {
        return fmt::format("CAST('0x' || substr(md5({}), 1, 15) AS BIGINT)", text);
    }
    std::string bytes(const std::string& text, bool) const override { return fmt::format("strlen({})", text); }
    std::string concat(const std::vector<std::string>& texts) const override { return called("concat", texts); }
    std::string sum(const std::string& integers) const override {
        return fmt::format("CAST(sum({}) AS VARCHAR)", integers);
    }
    std::string text(const std::string& integer) const override { return fmt::format("CAST({} AS VARCHAR)", integer); }
    std::string separator() const override { return "chr(31)"; }
};

class BigQuery : public Dialect {
  public:
    /// The separator by its number: tools that read GoogleSQL do not agree on what `\x1f` in a literal is.
    std::string literal(std::string_view text) const override {
        std::string out;
        while (true) {
            size_t end = text.find('\x1f');
            out += escaped(text.substr(0, end), '\'');
            if (end == text.npos) return "(" + out + ")";
            out += " || CHR(31) || ";
            text.remove_prefix(end + 1);
        }
    }
    std::string identifier(std::string_view name) const override { return escaped(name, '`'); }
    std::string hash(const std::string& text, bool) const override {
        return fmt::format("CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5({})), 1, 15)) AS INT64)", text);
    }
    std::string bytes(const std::string& text, bool) const override { return fmt::format("BYTE_LENGTH({})", text); }
    std::string concat(const std::vector<std::string>& texts) const override { return called("CONCAT", texts); }
    std::string sum(const std::string& integers) const override {
        return fmt::format("CAST(SUM(CAST({} AS NUMERIC)) AS STRING)", integers);
    }
    std::string text(const std::string& integer) const override { return fmt::format("CAST({} AS STRING)", integer); }
    std::string separator() const override { return "CHR(31)"; }
};

}  // namespace

std::string Dialect::remainder(const std::string& integer, int64_t by) const {
    return fmt::format("mod({}, {})", integer, by);
}

std::string Dialect::framed(const data::Type& type, const std::string& value, bool utf8) const {
    if (type.kind != Kind::text) return fmt::format("coalesce({}, 'n')", value);
    return fmt::format("coalesce({} || ':' || {}, 'n')", text(bytes(value, utf8)), value);
}

std::string Dialect::framed(const std::vector<const flow::ComparedColumn*>& columns, bool utf8) const {
    std::vector<std::string> texts;
    for (const auto* column : columns) {
        texts.push_back(framed(column->type, column->text, utf8));
        texts.push_back(separator());
    }
    return concat(texts);
}

const Dialect& dialect_named(std::string_view name) {
    static const Postgres postgres;
    static const DuckDb duckdb;
    static const BigQuery bigquery;
    if (name == "postgres") return postgres;
    if (name == "duckdb") return duckdb;
    PN_ASSERT(name == "bigquery");
    return bigquery;
}

std::string shown(const std::string& canonical, const data::Type& type) {
    if (type.kind == Kind::float64 || type.kind == Kind::float32) {
        char* end = nullptr;
        double number = std::strtod(canonical.c_str(), &end);
        if (*end != 0) return canonical;
        return type.kind == Kind::float32 ? fmt::format("{}", static_cast<float>(number)) : fmt::format("{}", number);
    }
    bool parted = type.kind == Kind::list || type.kind == Kind::structure || type.kind == Kind::map;
    std::string out = canonical;
    if (parted) std::ranges::replace(out, '\x1f', ';');
    return out;
}

}  // namespace penstock::verify
