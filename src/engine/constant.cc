#include "engine/constant.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>

#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::engine {
namespace {

using data::Kind;

bool matches(const std::string& text, const char* pattern) { return std::regex_match(text, std::regex(pattern)); }

/// No digit is lost, none is added that would not fit.
bool decimal_fits(const std::string& text, const data::Type& type) {
    if (!matches(text, R"(-?[0-9]+(\.[0-9]+)?)")) return false;
    auto start = text.find_first_not_of("-0");
    auto point = text.find('.');
    size_t whole_end = point == text.npos ? text.size() : point;
    size_t whole = start == text.npos || start >= whole_end ? 0 : whole_end - start;
    size_t scale = point == text.npos ? 0 : text.size() - point - 1;
    return scale <= type.scale && whole <= static_cast<size_t>(type.precision - type.scale);
}

/// Types whose values come as the very text that a constant is told in. Others have forms of their own (inet leaves out /32).
bool verbatim(const std::string& source_type) {
    constexpr std::array names = {"text", "character varying", "character", "citext", "name"};
    return std::ranges::any_of(names, [&](std::string_view name) {
        return source_type == name ||
               (source_type.starts_with(name) && source_type[name.size()] == '(' && source_type.ends_with(')'));
    });
}

/// In PostgreSQL's ISO form, which is also DuckDB's as long as the year has four digits and stands after Christ.
bool readable(const data::Field& field, const std::string& text) {
    switch (field.type.kind) {
        case Kind::boolean: return matches(text, "t|f|true|false");
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64: return matches(text, "-?[0-9]+");
        case Kind::float32:
        case Kind::float64: return matches(text, R"(-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?)");
        case Kind::decimal: return decimal_fits(text, field.type);
        case Kind::text: return verbatim(field.source_type);
        case Kind::json: return field.source_type == "json" || field.source_type == "jsonb";
        case Kind::bytes: return field.source_type == "bytea" && matches(text, R"(\\x([0-9a-f]{2})*)");
        case Kind::uuid: return matches(text, "[0-9a-f-]{36}");
        case Kind::date: return matches(text, "[0-9]{4}-[0-9]{2}-[0-9]{2}");
        case Kind::timestamp:
            return matches(text, R"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)");
        case Kind::timestamptz:
            return matches(
                text,
                R"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?[+-][0-9]{2}(:[0-9]{2})?)");
        case Kind::time: return matches(text, R"(([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)");
        case Kind::timetz:
        case Kind::interval:
        case Kind::list:
        case Kind::structure:
        case Kind::map: return false;
    }
    std::unreachable();
}

}  // namespace

std::optional<std::string> older_rows_sql(const data::Field& field) {
    if (field.initial_unknown) return std::nullopt;
    std::string type = sql_type(field.type);
    if (!field.initial) return fmt::format("CAST(NULL AS {})", type);
    // A regular expression over megabytes would eat the stack; verbatim text needs none.
    constexpr size_t longest = 10'000;
    bool any_length = field.type.kind == Kind::text || field.type.kind == Kind::json;
    if ((!any_length && field.initial->size() > longest) || !readable(field, *field.initial)) return std::nullopt;
    if (field.type.kind == Kind::bytes) return fmt::format("from_hex('{}')", field.initial->substr(2));
    return fmt::format("CAST({} AS {})", quote_literal(*field.initial), type);
}

std::string default_literal(const data::Field& field) {
    if (field.type.kind != Kind::bytes) return quote_literal(*field.initial);
    std::string escaped;
    for (size_t i = 2; i + 1 < field.initial->size(); i += 2) escaped += "\\x" + field.initial->substr(i, 2);
    return quote_literal(escaped);
}

}  // namespace penstock::engine
