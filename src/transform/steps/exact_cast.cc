#include "transform/steps/exact_cast.h"

#include <fmt/format.h>

#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::steps {
namespace {

using data::Kind;

bool is_integer(Kind kind) {
    switch (kind) {
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64: return true;
        default: return false;
    }
}

/// Digits behind the point that are not zero, beyond what the type has, are lost.
std::string number_pattern(int scale) {
    return fmt::format(R"(\s*[+-]?(\d+(\.\d{{0,{0}}}0*)?|\.\d{{1,{1}}}0*)\s*)", scale, std::max(scale, 1));
}

/// What must hold of a text so that the cast keeps all of it; "" where the cast itself is strict.
std::string text_condition(const std::string& column, const data::Type& to) {
    if (is_integer(to.kind) || to.kind == Kind::decimal)
        return fmt::format("regexp_full_match({}, '{}')", column, number_pattern(is_integer(to.kind) ? 0 : to.scale));
    if (to.kind == Kind::date)
        return fmt::format(R"(regexp_full_match({}, '\s*\d{{1,6}}-\d{{1,2}}-\d{{1,2}}\s*'))", column);
    if (to.kind == Kind::time || to.kind == Kind::timestamp || to.kind == Kind::timestamptz || to.kind == Kind::timetz)
        return fmt::format(R"(NOT regexp_matches({}, '\.\d{{6}}\d*[1-9]'))", column);
    return "";
}

}  // namespace

std::string exact_cast(const std::string& column, const data::Type& from, const std::string& to, const data::Type& type,
                       bool shows) {
    std::string cast = fmt::format("CAST({} AS {})", column, to);
    bool of_text = from.kind == Kind::text || from.kind == Kind::json;
    bool into_text = type.kind == Kind::text || type.kind == Kind::json;
    std::string condition = of_text ? text_condition(column, type)
                                    : fmt::format("CAST({} AS {}) = {}", cast, engine::sql_type(from), column);
    if (into_text || condition.empty()) return cast;
    std::string what = shows ? fmt::format("'''' || CAST({} AS VARCHAR) || '''", column) : "'the value";
    return fmt::format(
        "CASE WHEN {0} IS NULL THEN NULL WHEN {1} THEN {2} ELSE error({3} cannot be held exactly as ' || {4}) END",
        column, condition, cast, what, engine::quote_literal(to));
}

}  // namespace penstock::steps
