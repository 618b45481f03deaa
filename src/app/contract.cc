#include "app/contract.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "connect/bigquery/types.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using data::Kind;

Json json_type(const data::Field& field);

Json json_object(const std::vector<data::Field>& fields) {
    Json properties = Json::object(), required = Json::array();
    for (const auto& field : fields) {
        properties[field.name] = json_type(field);
        if (!field.nullable) required.push_back(field.name);
    }
    return {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}};
}

Json whole_number(int64_t least, uint64_t most) { return {{"type", "integer"}, {"minimum", least}, {"maximum", most}}; }

Json text_of(std::string_view pattern) { return {{"type", "string"}, {"pattern", pattern}}; }

/// Decimals are text, for a reader's numbers may be binary.
Json decimal_text(const data::Type& type) {
    int whole = type.precision - type.scale;
    std::string pattern = whole == 0 ? "^-?0?" : fmt::format("^-?[0-9]{{1,{}}}", whole);
    if (type.scale > 0) pattern += fmt::format("(\\.[0-9]{{1,{}}})?", type.scale);
    return text_of(pattern + "$");
}

Json json_value(const data::Type& type) {
    const std::string date = "-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}", time = "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?";
    const std::string zone = "(Z|[+-][0-9]{2}(:[0-9]{2}){0,2})";
    switch (type.kind) {
        case Kind::boolean: return {{"type", "boolean"}};
        case Kind::int16: return whole_number(INT16_MIN, INT16_MAX);
        case Kind::int32: return whole_number(INT32_MIN, INT32_MAX);
        case Kind::int64: return whole_number(INT64_MIN, INT64_MAX);
        case Kind::uint32: return whole_number(0, UINT32_MAX);
        case Kind::uint64: return whole_number(0, UINT64_MAX);
        case Kind::float32:
        case Kind::float64: return {{"type", "number"}};
        case Kind::decimal: return decimal_text(type);
        case Kind::text: return {{"type", "string"}};
        case Kind::json: return Json::object();
        case Kind::bytes: return {{"type", "string"}, {"contentEncoding", "base64"}};
        case Kind::uuid: return {{"type", "string"}, {"format", "uuid"}};
        case Kind::date: return text_of("^" + date + "$");
        case Kind::time: return text_of("^" + time + "$");
        case Kind::timetz: return text_of("^" + time + zone + "$");
        case Kind::timestamp: return text_of("^" + date + "[ T]" + time + "$");
        case Kind::timestamptz: return text_of("^" + date + "[ T]" + time + zone + "$");
        case Kind::interval: return {{"type", "string"}};
        case Kind::list: return {{"type", "array"}, {"items", json_type(type.children.front())}};
        case Kind::structure: return json_object(type.children);
        case Kind::map: break;
    }
    const auto& entry = type.children.front().type.children;
    if (entry.front().type.kind == Kind::text)
        return {{"type", "object"}, {"additionalProperties", json_type(entry.back())}};
    return {{"type", "array"}, {"items", json_object(entry)}};
}

Json json_type(const data::Field& field) {
    auto type = json_value(field.type);
    if (auto plain = type.find("type"); field.nullable && plain != type.end()) *plain = {*plain, "null"};
    if (!field.source_type.empty()) type["$comment"] = field.source_type;
    if (!field.description.empty()) type["description"] = field.description;
    return type;
}

/// Avro's names of records are known in all of the schema, so each says where it stands.
class Avro {
  public:
    explicit Avro(std::string name) : name_(std::move(name)) {}

    Result<Json> record(const std::vector<data::Field>& columns) const {
        Json fields = Json::array();
        for (const auto& column : columns) {
            if (!is_name(column.name)) return fail(no_name(column.name));
            PN_TRY(auto type, Avro(name_ + "_" + column.name).field(column));
            Json made = {{"name", column.name}, {"type", type}};
            if (column.nullable) made["default"] = nullptr;
            if (!column.description.empty()) made["doc"] = column.description;
            fields.push_back(std::move(made));
        }
        return Json{{"type", "record"}, {"name", name_}, {"fields", fields}};
    }

    static std::string as_name(std::string text) {
        for (char& c : text)
            if (!is_letter(c) && !(c >= '0' && c <= '9')) c = '_';
        return text.empty() || !is_letter(text.front()) ? "_" + text : text;
    }

  private:
    static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
    static bool is_name(const std::string& text) { return as_name(text) == text; }

    Error no_name(const std::string& column) const {
        return {.kind = ErrorKind::refused,
                .code = "no_avro_name",
                .message = fmt::format("'{}' is no name in Avro, which has letters, digits and _", column),
                .where = name_,
                .hint = "give the column another name: `columns`, or a step"};
    }

    Result<Json> field(const data::Field& column) const {
        PN_TRY(auto type, value(column.type));
        return column.nullable ? Json{"null", type} : type;
    }

    static Json logical(const char* type, const char* meaning) { return {{"type", type}, {"logicalType", meaning}}; }
    static Json decimal(int precision, int scale) {
        return {{"type", "bytes"}, {"logicalType", "decimal"}, {"precision", precision}, {"scale", scale}};
    }

    Result<Json> value(const data::Type& type) const {
        switch (type.kind) {
            case Kind::boolean: return Json("boolean");
            case Kind::int16:
            case Kind::int32: return Json("int");
            case Kind::int64:
            case Kind::uint32: return Json("long");
            case Kind::uint64: return decimal(20, 0);
            case Kind::float32: return Json("float");
            case Kind::float64: return Json("double");
            case Kind::decimal: return decimal(type.precision, type.scale);
            case Kind::text:
            case Kind::json:
            case Kind::timetz:
            case Kind::interval: return Json("string");
            case Kind::bytes: return Json("bytes");
            case Kind::uuid: return logical("string", "uuid");
            case Kind::date: return logical("int", "date");
            case Kind::time: return logical("long", "time-micros");
            case Kind::timestamp: return logical("long", "local-timestamp-micros");
            case Kind::timestamptz: return logical("long", "timestamp-micros");
            case Kind::list: {
                PN_TRY(auto items, field(type.children.front()));
                return Json{{"type", "array"}, {"items", items}};
            }
            case Kind::structure: return record(type.children);
            case Kind::map: break;
        }
        const auto& entry = type.children.front().type.children;
        if (entry.front().type.kind == Kind::text) {
            PN_TRY(auto values, field(entry.back()));
            return Json{{"type", "map"}, {"values", values}};
        }
        PN_TRY(auto items, record(entry));
        return Json{{"type", "array"}, {"items", items}};
    }

    std::string name_;
};

}  // namespace

Result<Json> contract(std::string_view form, const std::string& table, const data::Schema& schema,
                      const config::TypePolicies& policies) {
    if (form == "avro") return Avro(Avro::as_name(table)).record(schema.fields);
    if (form == "bigquery") {
        Json fields = Json::array();
        for (const auto& field : schema.fields) {
            PN_TRY(auto column, bigquery::column_of(field, policies));
            column.required = !field.nullable && !column.repeated;
            fields.push_back(Json::parse(bigquery::to_json(column).dump()));
        }
        return fields;
    }
    Json made = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", table}};
    made.update(json_object(schema.fields));
    return made;
}

}  // namespace penstock::app
