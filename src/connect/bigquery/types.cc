#include "connect/bigquery/types.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "connect/bigquery/sql.h"

namespace penstock::bigquery {
namespace {

using data::Kind;
using Json = nlohmann::json;

/// NUMERIC has 29 digits before the point and 9 behind it, BIGNUMERIC 38 and 38: every decimal(38, s) fits the latter.
const char* decimal_type(const data::Type& type) {
    return type.precision - type.scale <= 29 && type.scale <= 9 ? "NUMERIC" : "BIGNUMERIC";
}

const char* simple_type(const data::Type& type, const config::TypePolicies& policies) {
    switch (type.kind) {
        case Kind::boolean: return "BOOL";
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64: return "INT64";
        case Kind::float32:
        case Kind::float64: return "FLOAT64";
        case Kind::decimal: return decimal_type(type);
        case Kind::text:
        case Kind::uuid:
        case Kind::timetz: return "STRING";
        case Kind::json: return policies.wide_json_numbers == config::WideJsonNumbers::text ? "STRING" : "JSON";
        case Kind::bytes: return "BYTES";
        case Kind::date: return "DATE";
        case Kind::time: return "TIME";
        case Kind::timestamp: return "DATETIME";
        case Kind::timestamptz: return "TIMESTAMP";
        case Kind::interval: return "INTERVAL";
        case Kind::map: return "JSON";
        case Kind::structure: return "STRUCT";
        case Kind::list: return "";
    }
    std::unreachable();
}

/// "Schemas": column names. What is more flexible than that is not for every tool that reads a table.
Status check_name(const std::string& name, const std::string& place) {
    bool good =
        !name.empty() && name.size() <= 300 && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
        std::ranges::all_of(name, [](unsigned char c) { return c < 0x80 && (std::isalnum(c) != 0 || c == '_'); });
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    for (const char* taken :
         {"_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_"})
        good = good && !upper.starts_with(taken);
    if (good) return {};
    return fail({.kind = ErrorKind::schema,
                 .code = "column_name_refused",
                 .message = fmt::format("{} has a name that BigQuery does not take for a column", place),
                 .hint =
                     "read the table by `query:` and give it another name: letters, digits and underscores, no digit "
                     "first"});
}

/// Of a structure of the fields that a source makes of a range, the type of its bounds, if BigQuery has ranges of it.
const char* range_bound(const data::Type& type) {
    constexpr const char* names[] = {"lower", "upper", "lower_inclusive", "upper_inclusive", "empty"};
    bool range = std::ranges::equal(type.children, names, {}, &data::Field::name) &&
                 type.children[0].type == type.children[1].type;
    for (size_t i = 2; i < type.children.size(); ++i) range = range && type.children[i].type.kind == Kind::boolean;
    if (!range) return nullptr;
    switch (type.children[0].type.kind) {
        case Kind::date: return "DATE";
        case Kind::timestamp: return "DATETIME";
        case Kind::timestamptz: return "TIMESTAMP";
        default: return nullptr;
    }
}

/// "numeric(60,30)" of a type that is text for its digits: whether BIGNUMERIC has them.
bool has_digits(const std::string& source_type) {
    int precision = 0, scale = 0;
    char end = 0;
    if (std::sscanf(source_type.c_str(), "numeric(%d,%d%c", &precision, &scale, &end) != 3 || end != ')') return false;
    return precision > 38 && scale >= 0 && scale <= 38 && precision - scale <= 38;
}

/// What the source's own type says beyond the kind: how many digits a number may have one day.
void widen_number(const data::Field& field, const config::TypePolicies& policies, Column& column) {
    bool wide = column.type == "STRING" && has_digits(field.source_type) &&
                policies.special_numbers != config::SpecialNumbers::text;
    bool free = column.type == "NUMERIC" && field.source_type == "numeric" && field.type == data::decimal(38, 9);
    if (!wide && !free) return;
    column.carrier = column.type;
    column.type = "BIGNUMERIC";
}

Result<Column> map_type(const data::Type& type, const std::string& name, const std::string& place,
                        const config::TypePolicies& policies);

Result<Column> map_structure(const data::Type& type, const std::string& name, const std::string& place,
                             const config::TypePolicies& policies) {
    Column column{.name = name, .type = "STRUCT"};
    std::set<std::string> seen;
    for (const auto& field : type.children) {
        std::string inner = place + "." + field.name;
        PN_CHECK(check_name(field.name, inner));
        PN_TRY(auto child, map_type(field.type, field.name, inner, policies));
        std::string lower = field.name;
        std::ranges::transform(lower, lower.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (!seen.insert(lower).second)
            return fail({.kind = ErrorKind::schema,
                         .code = "column_names_collide",
                         .message = fmt::format("{} is there twice for BigQuery, which ignores case", inner),
                         .hint = "read the table by `query:` and give one of them another name"});
        child.description = field.description;
        column.fields.push_back(std::move(child));
    }
    if (column.fields.empty())
        return fail({.kind = ErrorKind::schema,
                     .code = "empty_structure",
                     .message = fmt::format("{} is a composite without fields, which BigQuery cannot hold", place),
                     .hint = "leave the column out, or read it as text through a query"});
    return column;
}

Result<Column> map_type(const data::Type& type, const std::string& name, const std::string& place,
                        const config::TypePolicies& policies) {
    if (type.kind == Kind::structure) {
        const char* bound = policies.ranges == config::Ranges::reject ? range_bound(type) : nullptr;
        if (bound != nullptr) return Column{.name = name, .type = fmt::format("RANGE<{}>", bound)};
        return map_structure(type, name, place, policies);
    }
    if (type.kind != Kind::list) return Column{.name = name, .type = simple_type(type, policies)};
    const auto& element = type.children.front().type;
    // An array of arrays has no place; one that may hold NULL neither, if the user would rather have JSON than a reject.
    bool as_json = element.kind == Kind::list || policies.array_nulls == config::ArrayNulls::json;
    if (as_json) return Column{.name = name, .type = "JSON"};
    PN_TRY(auto column, map_type(element, name, place, policies));
    column.repeated = true;
    return column;
}

bool needs_unstaging(const Column& column) {
    return column.type == "JSON" || column.type == "INTERVAL" || !column.carrier.empty() ||
           !range_element(column).empty() || std::ranges::any_of(column.fields, needs_unstaging);
}

std::string unstage_value(const Column& column, const std::string& value, const config::TypePolicies& policies,
                          int depth) {
    if (!needs_unstaging(column)) return value;
    if (column.repeated) {
        Column element = column;
        element.repeated = false;
        std::string name = fmt::format("e{}", depth);
        std::string inner = unstage_value(element, name, policies, depth + 1);
        return fmt::format("ARRAY(SELECT {0} FROM UNNEST({1}) AS {2} WITH OFFSET AS o{3} ORDER BY o{3})", inner, value,
                           name, depth);
    }
    if (column.type == "INTERVAL") return fmt::format("CAST({} AS INTERVAL)", value);
    if (column.type == "JSON")
        return fmt::format("PARSE_JSON({}, wide_number_mode => '{}')", value,
                           policies.wide_json_numbers == config::WideJsonNumbers::round ? "round" : "exact");
    if (!column.carrier.empty()) return fmt::format("CAST({} AS {})", value, column.type);
    if (!range_element(column).empty())
        return fmt::format("IF({0} IS NULL, NULL, RANGE({0}.`start`, {0}.`end`))", value);
    std::string fields;
    for (const auto& field : column.fields)
        fields += fmt::format("{}{} AS {}", fields.empty() ? "" : ", ",
                              unstage_value(field, value + "." + quote_identifier(field.name), policies, depth + 1),
                              quote_identifier(field.name));
    return fmt::format("IF({} IS NULL, NULL, STRUCT({}))", value, fields);
}

/// REST's older names of the same types.
constexpr std::pair<const char*, const char*> rest_names[] = {
    {"INT64", "INTEGER"}, {"FLOAT64", "FLOAT"}, {"BOOL", "BOOLEAN"}, {"STRUCT", "RECORD"}};

}  // namespace

bool Column::same_type(const Column& other) const {
    return type == other.type && repeated == other.repeated &&
           std::ranges::equal(fields, other.fields, [](const Column& a, const Column& b) {
               return same_name(a.name, b.name) && a.same_type(b);
           });
}

Result<Column> column_of(const data::Field& field, const config::TypePolicies& policies) {
    PN_CHECK(check_name(field.name, "column " + field.name));
    PN_TRY(auto column, map_type(field.type, field.name, "column " + field.name, policies));
    widen_number(field, policies, column);
    return column;
}

std::string sql_type(const Column& column) {
    std::string type = column.type;
    if (type == "STRUCT") {
        std::string fields;
        for (const auto& field : column.fields)
            fields += fmt::format("{}{} {}", fields.empty() ? "" : ", ", quote_identifier(field.name), sql_type(field));
        type = fmt::format("STRUCT<{}>", fields);
    }
    return column.repeated ? fmt::format("ARRAY<{}>", type) : type;
}

std::string type_name(const data::Field& field) {
    data::Field value = field;
    value.name = "value";
    auto column = column_of(value, {});
    return column ? sql_type(*column) : "none";
}

std::string range_element(const Column& column) {
    if (!column.type.starts_with("RANGE<")) return {};
    return column.type.substr(6, column.type.size() - 7);
}

Column staged(Column column) {
    if (column.type == "JSON" || column.type == "INTERVAL") column.type = "STRING";
    if (!column.carrier.empty()) column.type = std::exchange(column.carrier, {});
    if (auto element = range_element(column); !element.empty()) {
        column.type = "STRUCT";
        column.fields = {{.name = "start", .type = element}, {.name = "end", .type = element}};
    }
    for (auto& field : column.fields) field = staged(std::move(field));
    column.required = false;
    column.description.clear();
    return column;
}

std::string unstage_sql(const Column& column, const std::string& value, const config::TypePolicies& policies) {
    return unstage_value(column, value, policies, 0);
}

std::string comparable(const Column& column, const std::string& value) {
    if (column.repeated || column.type == "STRUCT") return fmt::format("TO_JSON_STRING({})", value);
    if (column.type == "FLOAT64") return fmt::format("TO_JSON_STRING({} + 0)", value);
    return value;
}

bool holds(const Column& wide, const Column& narrow) {
    if (wide.same_type(narrow)) return true;
    if (wide.repeated || narrow.repeated) return false;
    if (wide.type == "BIGNUMERIC") return narrow.type == "NUMERIC" || narrow.type == "INT64";
    return wide.type == "NUMERIC" && narrow.type == "INT64";
}

bool can_widen(const Column& from, const Column& to) { return !from.same_type(to) && holds(to, from); }

Json to_json(const Column& column) {
    std::string type = column.type;
    for (const auto& [name, rest] : rest_names)
        if (type == name) type = rest;
    Json json = {{"name", column.name},
                 {"type", type},
                 {"mode", column.repeated   ? "REPEATED"
                          : column.required ? "REQUIRED"
                                            : "NULLABLE"}};
    if (auto element = range_element(column); !element.empty()) {
        json["type"] = "RANGE";
        json["rangeElementType"] = {{"type", element}};
    }
    if (!column.description.empty()) json["description"] = column.description;
    if (!column.fields.empty()) {
        json["fields"] = Json::array();
        for (const auto& field : column.fields) json["fields"].push_back(to_json(field));
    }
    return json;
}

Column column_from_json(const Json& field) {
    auto text = [&](const char* name) {
        auto found = field.find(name);
        return found != field.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    Column column{.name = text("name"), .type = text("type")};
    for (const auto& [name, rest] : rest_names)
        if (column.type == rest) column.type = name;
    if (column.type == "RANGE")
        column.type = fmt::format("RANGE<{}>", field.at("rangeElementType").at("type").get<std::string>());
    column.repeated = text("mode") == "REPEATED";
    column.required = text("mode") == "REQUIRED";
    column.description = text("description");
    if (auto found = field.find("fields"); found != field.end() && found->is_array())
        for (const auto& child : *found) column.fields.push_back(column_from_json(child));
    return column;
}

}  // namespace penstock::bigquery
