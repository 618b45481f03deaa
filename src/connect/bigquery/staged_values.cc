#include "connect/bigquery/staged_values.h"

#include <fmt/format.h>

#include <utility>

#include "engine/sql.h"

namespace penstock::bigquery {
namespace {

using config::ArrayNulls;
using config::SpecialDates;
using config::TypePolicies;
using config::WideJsonNumbers;
using data::Kind;
using data::Type;

// "Data types": DATE, DATETIME and TIMESTAMP reach from year 1 to year 9999.
constexpr const char* first_day = "DATE '0001-01-01'";
constexpr const char* last_day = "DATE '9999-12-31'";
constexpr const char* first_moment = "TIMESTAMP '0001-01-01 00:00:00'";
constexpr const char* last_moment = "TIMESTAMP '9999-12-31 23:59:59.999999'";
// "Quotas and limits": a row of a Parquet load has 50 MB at most.
constexpr int64_t most_text = 50'000'000;

struct Bounds {
    std::string low, high;
};

/// Empty for kinds without.
Bounds bounds_of(Kind kind) {
    switch (kind) {
        case Kind::date: return {first_day, last_day};
        case Kind::timestamp: return {first_moment, last_moment};
        case Kind::timestamptz:
            return {fmt::format("CAST('{}+00' AS TIMESTAMPTZ)", "0001-01-01 00:00:00"),
                    fmt::format("CAST('{}+00' AS TIMESTAMPTZ)", "9999-12-31 23:59:59.999999")};
        default: return {};
    }
}

/// Of the parts of an interval, as BigQuery's canonical text: each sign stands before its group.
std::string interval_text(const std::string& value) {
    std::string months = fmt::format("(datepart('year', {0}) * 12 + datepart('month', {0}))", value);
    std::string micros = fmt::format(
        "((datepart('hour', {0}) * 3600 + datepart('minute', {0}) * 60) * 1000000 + datepart('microsecond', "
        "{0}))",
        value);
    return fmt::format(
        "CASE WHEN {0} IS NOT NULL THEN printf('%s%d-%d %d %s%d:%d:%d.%06d', CASE WHEN {1} < 0 THEN '-' ELSE '' END, "
        "abs({1}) // 12, abs({1}) % 12, datepart('day', {0}), CASE WHEN {2} < 0 THEN '-' ELSE '' END, abs({2}) // "
        "3600000000, abs({2}) // 60000000 % 60, abs({2}) // 1000000 % 60, abs({2}) % 1000000) END",
        value, months, micros);
}

std::string parameter_at(int depth) { return fmt::format("penstock_e{}", depth); }

/// A value inside JSON: what JSON's numbers would bend goes as text.
std::string json_safe(const Type& type, const std::string& value, int depth) {
    switch (type.kind) {
        case Kind::boolean:
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64:
        case Kind::text:
        case Kind::json: return value;
        case Kind::bytes: return fmt::format("to_base64({})", value);
        case Kind::list: {
            auto parameter = parameter_at(depth);
            return fmt::format("list_transform({}, lambda {}: {})", value, parameter,
                               json_safe(type.children.front().type, parameter, depth + 1));
        }
        case Kind::structure: {
            std::string fields;
            for (const auto& field : type.children)
                fields += fmt::format(
                    "{}{} := {}", fields.empty() ? "" : ", ", engine::quote_identifier(field.name),
                    json_safe(field.type,
                              fmt::format("struct_extract({}, {})", value, engine::quote_literal(field.name)), depth));
            return fmt::format("CASE WHEN {} IS NOT NULL THEN struct_pack({}) END", value, fields);
        }
        case Kind::map: return value;
        default: return fmt::format("CAST({} AS VARCHAR)", value);
    }
}

std::string dated(const Type& type, const std::string& value, const TypePolicies& policies) {
    auto [low, high] = bounds_of(type.kind);
    switch (policies.special_dates) {
        case SpecialDates::reject:  // the row is marked, and a load would fail over the value
        case SpecialDates::null: return fmt::format("CASE WHEN {0} BETWEEN {1} AND {2} THEN {0} END", value, low, high);
        case SpecialDates::clamp:
            return fmt::format("CASE WHEN {0} IS NOT NULL THEN least(greatest({0}, {1}), {2}) END", value, low, high);
    }
    std::unreachable();
}

bool is_dated(const Type& type) {
    return type.kind == Kind::date || type.kind == Kind::timestamp || type.kind == Kind::timestamptz;
}

bool is_range(const Column& column) { return !range_element(column).empty(); }

std::string field_of(const std::string& value, const char* name) {
    return fmt::format("struct_extract({}, '{}')", value, name);
}

/// The bound of a range, as it is staged.
std::string bound_of(const Type& type, const std::string& value, const char* name, const TypePolicies& policies) {
    return dated(type.children.front().type, field_of(value, name), policies);
}

/// "Range type": from start up to but not including end, a NULL bound is none; start lies before end.
std::string range_is_held(const Type& type, const std::string& value, const TypePolicies& policies) {
    return fmt::format("NOT {} AND NOT {} AND ({} OR {} IS NULL) AND coalesce({} < {}, true)", field_of(value, "empty"),
                       field_of(value, "upper_inclusive"), field_of(value, "lower_inclusive"), field_of(value, "lower"),
                       bound_of(type, value, "lower", policies), bound_of(type, value, "upper", policies));
}

/// NULL where the row is marked: a RANGE that is none would fail the transaction.
std::string stage_range(const Type& type, const std::string& value, const TypePolicies& policies) {
    return fmt::format("CASE WHEN {} THEN struct_pack(\"start\" := {}, \"end\" := {}) END",
                       range_is_held(type, value, policies), bound_of(type, value, "lower", policies),
                       bound_of(type, value, "upper", policies));
}

constexpr const char* special_numbers = "('NaN', 'Infinity', '-Infinity')";

std::string stage(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies,
                  int depth);

std::string stage_structure(const Type& type, const Column& column, const std::string& value,
                            const TypePolicies& policies, int depth) {
    std::string fields;
    for (size_t i = 0; i < type.children.size(); ++i) {
        const auto& field = type.children[i];
        std::string part = fmt::format("struct_extract({}, {})", value, engine::quote_literal(field.name));
        fields += fmt::format("{}{} := {}", fields.empty() ? "" : ", ", engine::quote_identifier(field.name),
                              stage(field.type, column.fields[i], part, policies, depth));
    }
    return fmt::format("CASE WHEN {} IS NOT NULL THEN struct_pack({}) END", value, fields);
}

std::string stage_list(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies,
                       int depth) {
    // Under `drop` for good; else the row is marked, and a load would fail over the NULL.
    auto without_nulls = [&](const std::string& list) {
        return fmt::format("list_filter({0}, lambda {1}: {1} IS NOT NULL)", list, parameter_at(depth));
    };
    Column element = column;
    element.repeated = false;
    std::string inner = stage(type.children.front().type, element, parameter_at(depth), policies, depth + 1);
    return without_nulls(inner == parameter_at(depth)
                             ? value
                             : fmt::format("list_transform({}, lambda {}: {})", value, parameter_at(depth), inner));
}

std::string stage(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies,
                  int depth) {
    switch (type.kind) {
        case Kind::boolean:
        case Kind::int64:
        case Kind::float64:
        case Kind::decimal:
        case Kind::time: return value;
        case Kind::text:
            if (!column.carrier.empty())
                return fmt::format("CASE WHEN {0} NOT IN {1} THEN {0} END", value, special_numbers);
            return fmt::format("CASE WHEN strlen({0}) <= {1} THEN {0} END", value, most_text);
        case Kind::bytes: return fmt::format("CASE WHEN octet_length({0}) <= {1} THEN {0} END", value, most_text);
        case Kind::int16:
        case Kind::int32:
        case Kind::uint32: return fmt::format("CAST({} AS BIGINT)", value);
        case Kind::uint64: return fmt::format("TRY_CAST({} AS BIGINT)", value);  // what does not fit is a fault
        case Kind::float32: return fmt::format("CAST({} AS DOUBLE)", value);
        case Kind::json:
        case Kind::uuid:
        case Kind::timetz: return fmt::format("CAST({} AS VARCHAR)", value);
        case Kind::date:
        case Kind::timestamp:
        case Kind::timestamptz: return dated(type, value, policies);
        case Kind::interval: return interval_text(value);
        case Kind::map: return fmt::format("CAST(to_json({}) AS VARCHAR)", value);
        case Kind::structure:
            if (is_range(column)) return stage_range(type, value, policies);
            return stage_structure(type, column, value, policies, depth);
        case Kind::list:
            if (column.type == "JSON" && !column.repeated)
                return fmt::format("CASE WHEN {} IS NOT NULL THEN CAST(to_json({}) AS VARCHAR) END", value,
                                   json_safe(type, value, depth));
            return stage_list(type, column, value, policies, depth);
    }
    std::unreachable();
}

/// Numbers of a JSON text that a double, or a 64-bit integer, does not hold as they are written. Most texts have none that is
/// long enough, which one look tells.
std::string has_wide_number(const std::string& value) {
    std::string text = fmt::format("CAST({} AS VARCHAR)", value);
    std::string outside_strings = fmt::format(R"(regexp_replace({}, '"(?:[^"\\]|\\.)*"', '""', 'g'))", text);
    std::string numbers =
        fmt::format(R"(regexp_extract_all({}, '-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?'))", outside_strings);
    const char* digits = R"(length(ltrim(regexp_replace(regexp_replace(n, '[eE].*', ''), '[-.]', '', 'g'), '0')))";
    std::string exact = fmt::format(
        "CASE WHEN regexp_full_match(n, '-?[0-9]+') THEN TRY_CAST(n AS BIGINT) IS NOT NULL OR TRY_CAST(n AS UBIGINT) "
        "IS NOT "
        "NULL WHEN {0} <= 15 THEN coalesce(isfinite(TRY_CAST(n AS DOUBLE)), false) ELSE "
        "coalesce(CAST(TRY_CAST(n AS DOUBLE) AS VARCHAR) = n, false) END",
        digits);
    return fmt::format(
        R"((regexp_matches({}, '[0-9][0-9.]{{15,}}|[0-9][eE]') AND len(list_filter({}, lambda n: NOT ({}))) > 0))",
        text, numbers, exact);
}

void add_dates(const Type& type, const std::string& value, const TypePolicies& policies, std::vector<Fault>& faults) {
    if (policies.special_dates != SpecialDates::reject) return;
    auto [low, high] = bounds_of(type.kind);
    faults.push_back(
        {fmt::format("{} NOT BETWEEN {} AND {}", value, low, high), "date_out_of_range",
         fmt::format("CAST({} AS VARCHAR) || ' is outside the years 1 to 9999 that BigQuery holds'", value)});
}

void add_interval(const std::string& value, std::vector<Fault>& faults) {
    // "Data types": INTERVAL reaches ten thousand years, 3,660,000 days and 87,840,000 hours to either side.
    faults.push_back(
        {fmt::format(
             "(abs(datepart('year', {0}) * 12 + datepart('month', {0})) > 120000 OR abs(datepart('day', {0})) > "
             "3660000 OR abs(datepart('hour', {0}) * 3600000000 + datepart('minute', {0}) * 60000000 + "
             "datepart('microsecond', {0})) > 87840000 * 3600000000)",
             value),
         "interval_out_of_range", fmt::format("CAST({} AS VARCHAR) || ' is longer than BigQuery holds'", value)});
}

void add_text(const std::string& value, const char* measure, std::vector<Fault>& faults) {
    faults.push_back({fmt::format("{}({}) > {}", measure, value, most_text), "value_too_long",
                      fmt::format("CAST({}({}) AS VARCHAR) || ' bytes are more than the 50 MB that a row may have'",
                                  measure, value)});
}

void add_range(const Type& type, const std::string& value, const TypePolicies& policies, std::vector<Fault>& faults) {
    for (const char* bound : {"lower", "upper"})
        add_dates(type.children.front().type, field_of(value, bound), policies, faults);
    faults.push_back(
        {fmt::format("NOT ({})", range_is_held(type, value, policies)), "range_not_canonical",
         "'a RANGE of BigQuery holds [a, b) only, and not an empty range; ranges: struct makes the column one "
         "that holds any'"});
}

void add_nested(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies,
                int depth, std::vector<Fault>& faults);

void add(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies, int depth,
         std::vector<Fault>& faults) {
    switch (type.kind) {
        case Kind::date:
        case Kind::timestamp:
        case Kind::timestamptz: return add_dates(type, value, policies, faults);
        case Kind::interval: return add_interval(value, faults);
        case Kind::text:
            if (!column.carrier.empty() && policies.special_numbers == config::SpecialNumbers::reject)
                faults.push_back({fmt::format("{} IN {}", value, special_numbers), "special_number",
                                  value + " || ' has no place in BIGNUMERIC; special_numbers decides'"});
            return add_text(value, "strlen", faults);
        case Kind::bytes: return add_text(value, "octet_length", faults);
        case Kind::uint64:
            faults.push_back({fmt::format("{} > 9223372036854775807", value), "number_out_of_range",
                              fmt::format("CAST({} AS VARCHAR) || ' is above 2^63-1, the largest INT64'", value)});
            return;
        case Kind::json:
            add_text(fmt::format("CAST({} AS VARCHAR)", value), "strlen", faults);
            if (policies.wide_json_numbers == WideJsonNumbers::reject)
                faults.push_back({has_wide_number(value), "wide_json_number",
                                  "'it holds a number that BigQuery would round; wide_json_numbers decides'"});
            return;
        case Kind::list: return add_nested(type, column, value, policies, depth, faults);
        case Kind::structure:
            if (is_range(column)) return add_range(type, value, policies, faults);
            return add_nested(type, column, value, policies, depth, faults);
        default: return;
    }
}

void add_nested(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies,
                int depth, std::vector<Fault>& faults) {
    if (type.kind == Kind::structure) {
        for (size_t i = 0; i < type.children.size(); ++i)
            add(type.children[i].type, column.fields[i],
                fmt::format("struct_extract({}, {})", value, engine::quote_literal(type.children[i].name)), policies,
                depth, faults);
        return;
    }
    if (!column.repeated) return;  // JSON, which holds them all
    const auto& element = type.children.front().type;
    Column one = column;
    one.repeated = false;
    auto parameter = parameter_at(depth);
    auto any = [&](const std::string& condition) {
        return fmt::format("len(list_filter({}, lambda {}: coalesce({}, false))) > 0", value, parameter, condition);
    };
    // A date that becomes NULL is one that an ARRAY does not hold.
    bool nulls = is_dated(element) && policies.special_dates == SpecialDates::null;
    std::string kept = nulls ? dated(element, parameter, policies) : parameter;
    if (policies.array_nulls == ArrayNulls::reject)
        faults.push_back({any(kept + " IS NULL"), "array_null",
                          "'it holds a NULL, which an ARRAY of BigQuery cannot; array_nulls decides'"});
    std::vector<Fault> inner;
    add(element, one, parameter, policies, depth + 1, inner);
    for (const auto& fault : inner)
        faults.push_back({any(fault.condition), fault.code,
                          fmt::format("'an element of it is a value that BigQuery cannot hold ({})'", fault.code)});
}

}  // namespace

std::string stage_sql(const Type& type, const Column& column, const std::string& value, const TypePolicies& policies) {
    return stage(type, column, value, policies, 0);
}

std::vector<Fault> faults_of(const Type& type, const Column& column, const std::string& value,
                             const TypePolicies& policies) {
    std::vector<Fault> faults;
    add(type, column, value, policies, 0, faults);
    for (auto& fault : faults) fault.condition = fmt::format("coalesce({}, false)", fault.condition);
    return faults;
}

}  // namespace penstock::bigquery
