#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/http/api_route.h"
#include "base/version.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;
using In = ApiParameter::In;
using Type = ApiParameter::Type;

Ordered schema_of(const ApiParameter& parameter) {
    switch (parameter.type) {
        case Type::text:
            return {{"type", "string"},
                    {"minLength", 1},
                    {"maxLength", most_api_text},
                    {"pattern", "^[^\\u0000-\\u001f\\u007f]*$"}};
        case Type::moment:
            return {{"type", "string"},
                    {"pattern", moment_pattern},
                    {"examples", Ordered::array({"2026-11-01", "2026-11-01T06:30:00Z"})}};
        case Type::whole:
            return {{"type", "integer"},
                    {"minimum", parameter.least},
                    {"maximum", parameter.most},
                    {"default", parameter.otherwise}};
        case Type::truth: return {{"type", "boolean"}, {"default", false}};
    }
    std::unreachable();
}

Ordered refusal(std::string_view doc) {
    return {{"description", doc},
            {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
}

Ordered answers(const ApiRoute& route) {
    Ordered schema = {{"type", "object"}};
    if (!route.member.empty()) {
        schema["required"] = Ordered::array({route.member});
        schema["properties"][std::string(route.member)] = {{"type", route.member_is}};
        if (route.member_is == "array") schema["properties"][std::string(route.member)]["items"] = {{"type", "object"}};
    }
    Ordered all = {{"200", {{"description", "Done."}, {"content", {{"application/json", {{"schema", schema}}}}}}},
                   {"401", refusal("The request does not say who sends it, or the token is not known.")}};
    all["400"] = refusal("An argument is wrong, or the configuration does not allow what was asked for.");
    if (route.role != config::Role::viewer) all["403"] = refusal("The token's role may not do this.");
    if (route.path.find('{') != route.path.npos) all["404"] = refusal("There is no such thing.");
    if (route.asks_own)
        all["409"] = refusal("Somebody else is at it: a run of the pipeline, or a process that has the target open.");
    if (route.takes_body()) all["415"] = refusal("The body is not said to be JSON.");
    if (route.asks_own) all["429"] = refusal("Too many requests ask targets and servers at once.");
    all["503"] = refusal("The state, the target or the source does not answer, or what was asked for failed.");
    return all;
}

Ordered operation(const ApiRoute& route) {
    Ordered made = {{"operationId", route.name},
                    {"summary", route.doc},
                    {"description", fmt::format("For the role {} and those above it.", to_string(route.role))}};
    Ordered parameters = Ordered::array(), members = Ordered::object(), required = Ordered::array();
    for (const auto& one : route.parameters) {
        auto schema = schema_of(one);
        if (one.in != In::body) {
            parameters.push_back({{"name", one.name},
                                  {"in", one.in == In::path ? "path" : "query"},
                                  {"required", one.required},
                                  {"description", one.doc},
                                  {"schema", schema}});
            continue;
        }
        schema["description"] = one.doc;
        members[std::string(one.name)] = schema;
        if (one.required) required.push_back(one.name);
    }
    if (!parameters.empty()) made["parameters"] = parameters;
    if (!members.empty()) {
        Ordered body = {{"type", "object"}, {"properties", members}, {"additionalProperties", false}};
        if (!required.empty()) body["required"] = required;
        made["requestBody"] = {{"required", !required.empty()},
                               {"content", {{"application/json", {{"schema", body}}}}}};
    }
    made["responses"] = answers(route);
    return made;
}

}  // namespace

Ordered open_api(std::span<const ApiRoute> routes) {
    Ordered paths = Ordered::object();
    for (const auto& route : routes) {
        std::string method = route.method == "GET" ? "get" : "post";
        paths[std::string(route.path)][method] = operation(route);
    }
    Ordered text = {{"type", "string"}};
    return {{"openapi", "3.1.0"},
            {"info",
             {{"title", "Penstock"},
              {"version", version},
              {"description",
               "Pipelines, runs and rejects of a project: what `penstock serve` knows, and what "
               "people do. Whatever is done is on record."}}},
            {"servers", Ordered::array({{{"url", api_prefix}}})},
            {"security", Ordered::array({{{"token", Ordered::array()}}})},
            {"paths", paths},
            {"components",
             {{"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}},
              {"schemas",
               {{"Error",
                 {{"type", "object"},
                  {"required", Ordered::array({"error"})},
                  {"properties",
                   {{"error",
                     {{"type", "object"},
                      {"required", Ordered::array({"code", "message"})},
                      {"properties", {{"code", text}, {"message", text}, {"where", text}, {"hint", text}}}}}}}}}}}}}};
}

}  // namespace penstock::app::http
