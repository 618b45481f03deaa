#include "app/http/api_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <regex>

namespace penstock::app::http {
namespace {

using Json = nlohmann::json;
using In = ApiParameter::In;
using Type = ApiParameter::Type;

std::unexpected<Error> refuse(std::string_view name, std::string_view why) {
    return fail({.kind = ErrorKind::usage,
                 .code = "bad_parameter",
                 .message = fmt::format("`{}` {}", name, why),
                 .hint = "/api/v1/openapi.json describes every parameter"});
}

bool is_text(const ApiParameter& parameter) { return parameter.type == Type::text || parameter.type == Type::moment; }

const ApiParameter* find_in(const ApiRoute& route, In in, std::string_view name) {
    auto found = std::ranges::find_if(route.parameters,
                                      [&](const ApiParameter& one) { return one.in == in && one.name == name; });
    return found == route.parameters.end() ? nullptr : &*found;
}

/// Characters, as JSON Schema counts them; -1 for what is no UTF-8.
int64_t length_of(const std::string& text) {
    try {
        auto dumped = Json(text).dump();  // throws at what is no UTF-8
    } catch (const Json::exception&) {
        return -1;
    }
    return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

Status set_text(const ApiParameter& parameter, const std::string& value, ApiCall& call) {
    auto length = length_of(value);
    if (length < 0) return refuse(parameter.name, "is no UTF-8");
    if (length == 0) return refuse(parameter.name, "is empty");
    if (length > static_cast<int64_t>(most_api_text))
        return refuse(parameter.name, fmt::format("is longer than {} characters", most_api_text));
    if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
        return refuse(parameter.name, "has control characters");
    static const std::regex moment(moment_pattern);
    if (parameter.type == Type::moment && !std::regex_match(value, moment))
        return refuse(parameter.name, "is no day or moment, such as 2026-11-01 or 2026-11-01T06:30:00Z");
    call.texts[std::string(parameter.name)] = value;
    return {};
}

Status set_whole(const ApiParameter& parameter, int64_t value, ApiCall& call) {
    if (value < parameter.least || value > parameter.most)
        return refuse(parameter.name, fmt::format("is not from {} to {}", parameter.least, parameter.most));
    call.wholes[std::string(parameter.name)] = value;
    return {};
}

/// As paths and queries have it.
Status set_written(const ApiParameter& parameter, const std::string& value, ApiCall& call) {
    if (is_text(parameter)) return set_text(parameter, value, call);
    if (parameter.type == Type::truth) {
        if (value != "true" && value != "false") return refuse(parameter.name, "is neither true nor false");
        call.truths[std::string(parameter.name)] = value == "true";
        return {};
    }
    int64_t number = 0;
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || value.empty())
        return refuse(parameter.name, "is no whole number");
    return set_whole(parameter, number, call);
}

Status set_json(const ApiParameter& parameter, const Json& value, ApiCall& call) {
    switch (parameter.type) {
        case Type::text:
        case Type::moment:
            return value.is_string() ? set_text(parameter, value.get<std::string>(), call)
                                     : refuse(parameter.name, "is no text");
        case Type::whole:
            return value.is_number_integer() ? set_whole(parameter, value.get<int64_t>(), call)
                                             : refuse(parameter.name, "is no whole number");
        case Type::truth:
            if (!value.is_boolean()) return refuse(parameter.name, "is neither true nor false");
            call.truths[std::string(parameter.name)] = value.get<bool>();
            return {};
    }
    std::unreachable();
}

Status read_body(const ApiRoute& route, const Request& request, ApiCall& call) {
    if (request.body.empty()) return {};
    if (!route.takes_body()) return refuse("body", "is not empty, and nothing is taken from it");
    auto body = Json::parse(request.body, nullptr, false);
    if (!body.is_object()) return refuse("body", "is no JSON object");
    for (const auto& [name, value] : body.items()) {
        const auto* parameter = find_in(route, In::body, name);
        if (parameter == nullptr) return refuse(name, "is no member of this request");
        PN_CHECK(set_json(*parameter, value, call));
    }
    return {};
}

}  // namespace

std::optional<std::map<std::string, std::string>> match(std::string_view pattern, std::string_view path) {
    std::map<std::string, std::string> places;
    while (true) {
        auto part = pattern.substr(0, pattern.find('/')), given = path.substr(0, path.find('/'));
        bool is_place = part.starts_with('{');
        if (is_place && given.empty()) return std::nullopt;
        if (is_place) places[std::string(part.substr(1, part.size() - 2))] = given;
        else if (part != given) return std::nullopt;
        bool pattern_ends = part.size() == pattern.size(), path_ends = given.size() == path.size();
        if (pattern_ends || path_ends) return pattern_ends && path_ends ? std::optional(places) : std::nullopt;
        pattern.remove_prefix(part.size() + 1);
        path.remove_prefix(given.size() + 1);
    }
}

Status read_arguments(const ApiRoute& route, const Request& request, const std::map<std::string, std::string>& places,
                      ApiCall& call) {
    for (const auto& one : route.parameters)
        if (one.type == Type::whole) call.wholes[std::string(one.name)] = one.otherwise;
    for (const auto& [name, value] : places) PN_CHECK(set_written(*find_in(route, In::path, name), value, call));
    for (const auto& [name, value] : request.query) {
        const auto* parameter = find_in(route, In::query, name);
        if (parameter == nullptr) return refuse(name, "is no parameter of this path");
        PN_CHECK(set_written(*parameter, value, call));
    }
    PN_CHECK(read_body(route, request, call));
    for (const auto& one : route.parameters)
        if (one.required && is_text(one) && !call.texts.contains(one.name)) return refuse(one.name, "is missing");
    return {};
}

}  // namespace penstock::app::http
