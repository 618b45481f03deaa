#include "data/type.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/assert.h"

namespace penstock::data {
namespace {

constexpr std::array kind_names = {
    "boolean", "int16", "int32", "int64", "uint32", "uint64",    "float32",     "float64",  "decimal", "text",   "json",
    "bytes",   "uuid",  "date",  "time",  "timetz", "timestamp", "timestamptz", "interval", "list",    "struct", "map"};
static_assert(kind_names.size() == static_cast<size_t>(Kind::map) + 1);

using Json = nlohmann::ordered_json;

Json type_to_json(const Type& type);

Json field_to_json(const Field& field) {
    Json json = {{"name", field.name}, {"type", type_to_json(field.type)}, {"nullable", field.nullable}};
    if (!field.source_type.empty()) json["source_type"] = field.source_type;
    if (field.source_id != 0) json["source_id"] = field.source_id;
    if (!field.source_relation.empty()) json["source_relation"] = field.source_relation;
    return json;
}

Json type_to_json(const Type& type) {
    Json json = {{"kind", to_string(type.kind)}};
    if (type.kind == Kind::decimal) json["precision"] = type.precision, json["scale"] = type.scale;
    if (!type.children.empty()) {
        json["children"] = Json::array();
        for (const auto& child : type.children) json["children"].push_back(field_to_json(child));
    }
    return json;
}

Field field_from_json(const Json& json) {
    Field field;
    field.name = json.at("name");
    field.nullable = json.value("nullable", true);
    field.source_type = json.value("source_type", "");
    field.source_id = json.value("source_id", 0);
    field.source_relation = json.value("source_relation", "");
    const Json& type = json.at("type");
    std::string kind = type.at("kind");
    for (size_t i = 0; i < kind_names.size(); ++i)
        if (kind_names[i] == kind) field.type.kind = static_cast<Kind>(i);
    if (to_string(field.type.kind) != kind) throw std::invalid_argument("unknown type " + kind);
    field.type.precision = type.value("precision", uint8_t{0});
    field.type.scale = type.value("scale", uint8_t{0});
    if (type.contains("children"))
        for (const auto& child : type.at("children")) field.type.children.push_back(field_from_json(child));
    return field;
}

}  // namespace

bool Type::operator==(const Type& other) const {
    return kind == other.kind && precision == other.precision && scale == other.scale && children == other.children;
}

int Schema::find(std::string_view name) const {
    for (size_t i = 0; i < fields.size(); ++i)
        if (fields[i].name == name) return static_cast<int>(i);
    return -1;
}

Type scalar(Kind kind) { return {.kind = kind}; }

Type decimal(int precision, int scale) {
    PN_ASSERT(precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision);
    return {.kind = Kind::decimal, .precision = static_cast<uint8_t>(precision), .scale = static_cast<uint8_t>(scale)};
}

Type list_of(Type element) { return {.kind = Kind::list, .children = {{.name = "item", .type = std::move(element)}}}; }

Type structure_of(std::vector<Field> fields) { return {.kind = Kind::structure, .children = std::move(fields)}; }

Type map_of(Type key, Type value) {
    Type entry = structure_of(
        {{.name = "key", .type = std::move(key), .nullable = false}, {.name = "value", .type = std::move(value)}});
    return {.kind = Kind::map, .children = {{.name = "entries", .type = std::move(entry), .nullable = false}}};
}

std::string_view to_string(Kind kind) { return kind_names[static_cast<size_t>(kind)]; }

std::string to_string(const Type& type) {
    switch (type.kind) {
        case Kind::decimal: return fmt::format("decimal({},{})", type.precision, type.scale);
        case Kind::list: return fmt::format("list<{}>", to_string(type.children[0].type));
        case Kind::map: {
            const auto& entry = type.children[0].type.children;
            return fmt::format("map<{}, {}>", to_string(entry[0].type), to_string(entry[1].type));
        }
        case Kind::structure: {
            std::string out = "struct<";
            for (const auto& field : type.children)
                out += fmt::format("{}{} {}", out.size() == 7 ? "" : ", ", field.name, to_string(field.type));
            return out + ">";
        }
        default: return std::string(to_string(type.kind));
    }
}

std::string to_json(const Schema& schema) {
    Json json = Json::array();
    for (const auto& field : schema.fields) json.push_back(field_to_json(field));
    return json.dump();
}

Result<Schema> schema_from_json(std::string_view text) {
    try {
        Schema schema;
        for (const auto& field : Json::parse(text)) schema.fields.push_back(field_from_json(field));
        return schema;
    } catch (const std::exception& error) {
        return fail({.kind = ErrorKind::data,
                     .code = "schema_json",
                     .message = fmt::format("a recorded schema cannot be read: {}", error.what())});
    }
}

}  // namespace penstock::data
