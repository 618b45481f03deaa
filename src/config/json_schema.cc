#include "config/json_schema.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "config/document.h"
#include "config/scheduling.h"

namespace penstock::config {
namespace {

using Json = nlohmann::ordered_json;

Json schema_of(const SpecBase& spec);

/// A YAML value as JSON. Plain scalars are numbers and booleans where they read as such.
Json json_of(const Node& node) {
    switch (node.kind) {
        case NodeKind::null: return nullptr;
        case NodeKind::sequence: {
            Json array = Json::array();
            for (const auto& item : node.items) array.push_back(json_of(item));
            return array;
        }
        case NodeKind::map: {
            Json object = Json::object();
            for (const auto& entry : node.entries) object[entry.key] = json_of(entry.value);
            return object;
        }
        case NodeKind::scalar: break;
    }
    if (!node.quoted && (node.text == "true" || node.text == "false")) return node.text == "true";
    double number = 0;
    int64_t integer = 0;
    const char* begin = node.text.data();
    const char* end = begin + node.text.size();
    if (!node.quoted && std::from_chars(begin, end, integer).ptr == end && !node.text.empty()) return integer;
    if (!node.quoted && std::from_chars(begin, end, number).ptr == end && !node.text.empty()) return number;
    return node.text;
}

/// An option's default or example, which is YAML on one line.
Json json_of_text(const std::string& yaml) {
    auto node = load_text(yaml, "option");
    return node ? json_of(*node) : Json(yaml);
}

/// Any option may be given by a reference, which is text.
Json or_reference(Json schema) {
    return {{"anyOf", Json::array({std::move(schema), {{"$ref", "#/$defs/reference"}}})}};
}

Json number_schema(const Option& option, std::string_view type) {
    Json schema = {{"type", type}};
    if (option.least) schema["minimum"] = *option.least;
    if (option.most) schema["maximum"] = *option.most;
    return or_reference(std::move(schema));
}

Json choice_schema(const Shape& shape) {
    Json all = Json::array();
    for (const auto& choice : shape.choices) {
        all.push_back({{"const", choice.name}, {"description", choice.doc}});
        // The same words unquoted, as YAML types them.
        if (choice.name == "true" || choice.name == "false" || choice.name == "null")
            all.push_back({{"const", Json::parse(choice.name)}, {"description", choice.doc}});
    }
    all.push_back({{"$ref", "#/$defs/reference"}});
    return {{"anyOf", std::move(all)}};
}

/// Text may be written as a plain number or boolean: `table: 2024` is the table "2024".
Json text_schema(const Shape& shape) {
    Json schema = {{"type", Json::array({"string", "number", "boolean"})}};
    if (shape.pattern.empty()) return schema;
    schema["pattern"] = shape.pattern;
    return or_reference(std::move(schema));
}

Json schema_of(const Shape& shape, const Option& option) {
    auto plain = [&]() -> Json {
        switch (shape.kind) {
            case Kind::text: return text_schema(shape);
            case Kind::boolean: return or_reference({{"type", "boolean"}});
            case Kind::integer: return number_schema(option, "integer");
            case Kind::number: return number_schema(option, "number");
            case Kind::size:
                return or_reference(
                    {{"type", Json::array({"string", "number"})}, {"pattern", R"(^[0-9.]+ *([KMGT]iB|[kKMGTP]?B)?$)"}});
            case Kind::duration:
                return or_reference(
                    {{"type", Json::array({"string", "number"})}, {"pattern", R"(^[0-9.]+ *(us|ms|s|m|min|h|d|w)?$)"}});
            case Kind::choice: return choice_schema(shape);
            case Kind::object: {
                Json object = schema_of(*shape.object);
                if (shape.element) object["additionalProperties"] = schema_of(*shape.element, option);
                return object;
            }
            case Kind::list: {
                Json element = schema_of(*shape.element, option);
                return {{"anyOf", Json::array({{{"type", "array"}, {"items", element}}, element})}};
            }
            case Kind::map: return {{"type", "object"}, {"additionalProperties", schema_of(*shape.element, option)}};
            case Kind::any: return Json::object();
        }
        std::unreachable();
    };
    if (!shape.alternative) return plain();
    return {{"anyOf", Json::array({plain(), schema_of(*shape.alternative, option)})}};
}

Json requiring(const std::string& name) { return {{"required", Json::array({name})}}; }

void add_rule(const KeyRule& rule, Json& all_of, Json& dependent) {
    Json choices = Json::array();
    for (const auto& name : rule.names) choices.push_back(requiring(name));
    switch (rule.rule) {
        case Rule::exactly_one: all_of.push_back({{"oneOf", choices}}); return;
        case Rule::at_least_one: all_of.push_back({{"anyOf", choices}}); return;
        case Rule::at_most_one:
            choices.push_back({{"not", {{"anyOf", choices}}}});
            all_of.push_back({{"oneOf", choices}});
            return;
        case Rule::requires_other: dependent[rule.names[0]] = Json::array({rule.names[1]}); return;
    }
    std::unreachable();
}

Json schema_of(const SpecBase& spec) {
    Json schema = {{"type", Json::array({"object", "null"})},
                   {"description", spec.doc()},
                   {"properties", Json::object()},
                   {"additionalProperties", false}};
    Json required = Json::array();
    for (const auto& option : spec.options()) {
        Json property = schema_of(option.shape, option);
        property["description"] = option.doc;
        if (!option.default_text.empty()) property["default"] = json_of_text(option.default_text);
        if (!option.example.empty()) property["examples"] = Json::array({json_of_text(option.example)});
        schema["properties"][option.name] = std::move(property);
        if (option.required) required.push_back(option.name);
    }
    Json all_of = Json::array();
    Json dependent = Json::object();
    for (const auto& rule : spec.rules()) add_rule(rule, all_of, dependent);
    if (!required.empty()) schema["required"] = std::move(required);
    if (!all_of.empty()) schema["allOf"] = std::move(all_of);
    if (!dependent.empty()) schema["dependentRequired"] = std::move(dependent);
    return schema;
}

/// A map whose keys are names of the author's choice.
Json named(Json values, std::string_view doc) {
    return {{"type", Json::array({"object", "null"})},
            {"description", doc},
            {"propertyNames", {{"pattern", "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"}}},
            {"additionalProperties", std::move(values)}};
}

Json connection_schema(const Catalog& catalog) {
    Json any = Json::array();
    for (const auto& component : catalog) {
        Json schema = schema_of(*component.connection);
        schema["title"] = component.type;
        schema["properties"]["type"] = {{"const", component.type}, {"description", component.doc}};
        any.push_back(std::move(schema));
    }
    return {{"anyOf", std::move(any)}};
}

Json side_schema(const Catalog& catalog, const SpecBase* ComponentSpecs::* side, const std::string& doc) {
    Json any = Json::array();
    for (const auto& component : catalog) {
        if (component.*side == nullptr) continue;
        Json schema = schema_of(*(component.*side));
        schema["title"] = component.type;
        any.push_back(std::move(schema));
    }
    return {{"description", doc}, {"anyOf", std::move(any)}};
}

std::string type_name(const Option& option) { return option.shape.noun; }

Json listing(const SpecBase* spec) {
    if (spec == nullptr) return nullptr;
    Json options = Json::array();
    for (const auto& option : spec->options()) {
        Json one = {
            {"name", option.name}, {"type", type_name(option)}, {"required", option.required}, {"doc", option.doc}};
        if (!option.default_text.empty()) one["default"] = json_of_text(option.default_text);
        if (!option.default_note.empty()) one["default_note"] = option.default_note;
        if (!option.example.empty()) one["example"] = json_of_text(option.example);
        const Shape* leaf = &option.shape;
        while (leaf->element) leaf = leaf->element.get();
        for (const auto& choice : leaf->choices) one["choices"].push_back({{"name", choice.name}, {"doc", choice.doc}});
        if (leaf->secret) one["secret"] = true;
        if (leaf->object) one["options"] = listing(leaf->object)["options"];
        options.push_back(std::move(one));
    }
    return {{"name", spec->name()}, {"doc", spec->doc()}, {"options", std::move(options)}};
}

}  // namespace

std::string json_schema(const Catalog& catalog) {
    Json pipeline = schema_of(pipeline_entry_spec());
    for (auto [name, side] : {std::pair{"source", &ComponentSpecs::source}, {"target", &ComponentSpecs::target}})
        pipeline["properties"][name] = side_schema(catalog, side, pipeline_entry_spec().find(name)->doc);
    Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "penstock.yaml"}};
    schema.update(schema_of(document_spec()));
    schema["properties"]["connections"] = named(connection_schema(catalog), document_spec().find("connections")->doc);
    schema["properties"]["pipelines"] = named(std::move(pipeline), document_spec().find("pipelines")->doc);
    schema["properties"]["backups"] = named(schema_of(backup_spec()), document_spec().find("backups")->doc);
    schema["$defs"]["reference"] = {{"type", "string"},
                                    {"pattern", R"(\$\{)"},
                                    {"description", "A value from outside: ${ENV}, ${ENV:-default} or ${file:/path}."}};
    return schema.dump(2) + "\n";
}

std::string components_json(const Catalog& catalog) {
    Json all = Json::array();
    for (const auto& component : catalog)
        all.push_back({{"type", component.type},
                       {"doc", component.doc},
                       {"connection", listing(component.connection)},
                       {"source", listing(component.source)},
                       {"target", listing(component.target)}});
    return all.dump(2) + "\n";
}

}  // namespace penstock::config
