#include "engine/canonical.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::engine {
namespace {

using data::Kind;
using data::Type;

std::string text_of(const Type& type, const std::string& value, int depth);

/// As it stands beside others; never NULL.
std::string framed(const Type& type, const std::string& value, int depth) {
    std::string text = text_of(type, value, depth);
    if (type.kind == Kind::text) text = fmt::format("strlen({0}) || ':' || {0}", text);
    return fmt::format("coalesce({}, 'n') || chr(31)", text);
}

std::string elements(const Type& element, const std::string& list, int depth) {
    std::string item = fmt::format("penstock_e{}", depth);
    return fmt::format("array_to_string(list_transform({}, lambda {}: {}), '')", list, item,
                       framed(element, item, depth + 1));
}

/// '-0' is not told from '0': DuckDB's storage may make one of them.
std::string floating(const std::string& value) {
    return fmt::format(
        "CASE WHEN isnan({0}) THEN 'NaN' WHEN isinf({0}) THEN CASE WHEN {0} > 0 THEN 'Infinity' ELSE '-Infinity' END "
        "WHEN {0} = 0 THEN '0.0000000000000000e+00' ELSE format('{{:.16e}}', CAST({0} AS DOUBLE)) END",
        value);
}

/// In the text of a date or time years before our era are marked in the middle.
std::string dated(const std::string& text) {
    return fmt::format("CASE WHEN contains({0}, '(BC)') THEN replace({0}, ' (BC)', '') || ' BC' ELSE {0} END", text);
}

/// By its microseconds: in the last millisecond of the type DuckDB's own text is a millisecond late. Infinity has none.
std::string instant(const std::string& value) {
    return fmt::format("coalesce(CAST(make_timestamp(epoch_us({0})) AS VARCHAR) || '+00', CAST({0} AS VARCHAR))",
                       value);
}

std::string interval(const std::string& value) {
    return fmt::format(
        "(datepart('year', {0}) * 12 + datepart('month', {0})) || ',' || datepart('day', {0}) || ',' || "
        "(datepart('hour', {0}) * 3600000000 + datepart('minute', {0}) * 60000000 + datepart('microsecond', {0}))",
        value);
}

std::string structure(const Type& type, const std::string& value, int depth) {
    std::string parts;
    for (const auto& field : type.children)
        parts +=
            framed(field.type, fmt::format("struct_extract({}, {})", value, quote_literal(field.name)), depth) + " || ";
    return fmt::format("CASE WHEN {} IS NOT NULL THEN '(' || {}')' END", value, parts);
}

std::string map(const Type& type, const std::string& value, int depth) {
    const auto& entry = type.children.at(0).type;
    std::string item = fmt::format("penstock_e{}", depth);
    std::string both;
    for (size_t i : {0U, 1U})
        both += (both.empty() ? "" : " || ") +
                framed(entry.children.at(i).type,
                       fmt::format("struct_extract({}, '{}')", item, i == 0 ? "key" : "value"), depth + 1);
    return fmt::format("'{{' || array_to_string(list_transform(list_sort(map_entries({})), lambda {}: {}), '') || '}}'",
                       value, item, both);
}

std::string text_of(const Type& type, const std::string& value, int depth) {
    switch (type.kind) {
        case Kind::float32:
        case Kind::float64: return floating(value);
        case Kind::decimal:
            if (type.scale == 0) return fmt::format("CAST({} AS VARCHAR)", value);
            // All digits behind the point: DuckDB leaves out the zero in front of it.
            if (type.scale == type.precision)
                return fmt::format(
                    "regexp_replace(regexp_replace(rtrim(rtrim(CAST({} AS VARCHAR), '0'), '.'), '^-?$', '0'), "
                    "'^(-?)\\.', '\\10.')",
                    value);
            return fmt::format("rtrim(rtrim(CAST({} AS VARCHAR), '0'), '.')", value);
        case Kind::bytes: return fmt::format("lower(hex({}))", value);
        case Kind::date:
        case Kind::timestamp: return dated(fmt::format("CAST({} AS VARCHAR)", value));
        case Kind::timestamptz: return dated(instant(value));
        case Kind::interval: return interval(value);
        case Kind::list: return fmt::format("'[' || {} || ']'", elements(type.children.at(0).type, value, depth));
        case Kind::structure: return structure(type, value, depth);
        case Kind::map: return map(type, value, depth);
        default: return fmt::format("CAST({} AS VARCHAR)", value);
    }
}

}  // namespace

std::string canonical_text(const data::Type& type, const std::string& value) { return text_of(type, value, 0); }

}  // namespace penstock::engine
