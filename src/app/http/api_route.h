#pragma once

#include <algorithm>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.h"
#include "config/document.h"

namespace penstock::app::http {

struct ApiParameter {
    enum class In { path, query, body };
    enum class Type { text, moment, whole, truth };  ///< a moment is a text that moment_pattern describes
    std::string_view name;
    In in = In::query;
    Type type = Type::text;
    std::string_view doc;
    bool required = false;
    int64_t otherwise = 0;  ///< of `whole`, with the bounds
    int64_t least = 0, most = 0;
};

class KeptAnswers;

/// A request that its route fits, by somebody who may, with arguments that are right: what has a default is there.
struct ApiCall {
    const Session& session;
    const config::Document& document;
    KeptAnswers& kept;
    std::string actor;
    std::map<std::string, std::string, std::less<>> texts;
    std::map<std::string, int64_t, std::less<>> wholes;
    std::map<std::string, bool, std::less<>> truths;

    /// "", 0 and false where nothing was given.
    std::string text(std::string_view name) const;
    int64_t whole(std::string_view name) const;
    bool truth(std::string_view name) const;
};

/// An endpoint. Parsing, checks, roles and the OpenAPI document follow from it.
struct ApiRoute {
    std::string_view method;
    std::string_view path;  ///< below /api/v1
    std::string_view name;  ///< the operation's, for clients that are generated
    config::Role role = config::Role::viewer;
    std::string_view doc;
    std::vector<ApiParameter> parameters;
    std::string_view member;     ///< of the answer, that is always there
    std::string_view member_is;  ///< array, object, string, boolean, integer
    Result<nlohmann::ordered_json> (*handle)(const ApiCall&) = nullptr;
    bool asks_own = false;  ///< by another process of ours, of which there are only so many at once

    bool changes() const { return method == "POST"; }
    bool takes_body() const {
        return std::ranges::any_of(parameters, [](const auto& one) { return one.in == ApiParameter::In::body; });
    }
};

/// What a path names is not there.
Error not_found(std::string what);

/// All of them: the one table.
std::span<const ApiRoute> api_routes();

nlohmann::ordered_json open_api(std::span<const ApiRoute> routes);

/// Texts of requests are no longer.
inline constexpr size_t most_api_text = 500;
inline constexpr const char* moment_pattern = R"(^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?Z?$)";
inline constexpr std::string_view api_prefix = "/api/v1";

}  // namespace penstock::app::http
