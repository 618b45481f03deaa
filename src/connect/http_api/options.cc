#include "connect/http_api/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"
#include "io/url.h"

namespace penstock::http_api {
namespace {

std::unexpected<Error> refuse(const config::Place& place, std::string code, std::string message, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = std::move(code),
                 .message = std::move(message),
                 .where = place.text(),
                 .hint = std::move(hint)});
}

/// RFC 9110, section 5.6.2.
bool is_header_name(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return letter || std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
    });
}

Status check_header(const std::string& name, const Secret& value, const config::Place& place) {
    if (!is_header_name(name))
        return refuse(place, "bad_header", fmt::format("\"{}\" cannot be a header's name", name),
                      "names have letters, digits and dashes");
    if (value.reveal().find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos) return {};
    return refuse(place, "bad_header", fmt::format("the value of header {} has a line break", name),
                  "one that ends a file is best cut off there");
}

const config::Place& place_in(const config::Node& node, const char* name) {
    const auto* found = node.find(name);
    return found == nullptr ? node.place : found->place;
}

Status check_credentials(const ConnectionOptions& options, const config::Node& node) {
    PN_TRY(auto origin, io::origin_of(options.url.value));
    const auto& place = place_in(node, "auth");
    for (const auto& [name, value] : options.headers) PN_CHECK(check_header(name, value, place_in(node, "headers")));
    if (!options.auth) return {};
    if (options.auth->header)
        PN_CHECK(check_header(options.auth->header->name.value, options.auth->header->value, place));
    if (options.auth->bearer) PN_CHECK(check_header("Authorization", *options.auth->bearer, place));
    if (!origin.encrypted && !origin.is_loopback())
        return refuse(options.url.place, "credentials_in_the_clear",
                      "credentials are never sent over a network without encryption", "write https://");
    if (!options.auth->oauth2) return {};
    const auto& token_url = options.auth->oauth2->token_url;
    auto token = io::origin_of(token_url.value);
    if (!token)
        return refuse(token_url.place, "bad_url", fmt::format("\"{}\" is no URL", token_url.value), token.error().hint);
    if (token->encrypted || token->is_loopback()) return {};
    return refuse(token_url.place, "credentials_in_the_clear",
                  "credentials are never sent over a network without encryption", "write https://");
}

Status check_connection(const ConnectionOptions& options, const config::Node& node) {
    auto origin = io::origin_of(options.url.value);
    if (!origin) {
        auto error = std::move(origin.error());
        return refuse(options.url.place, "bad_url", "`url` is no URL of an API: " + error.message,
                      "write https://host/path; who asks belongs into `auth`");
    }
    if (options.url.value.find_first_of("?#") != std::string::npos)
        return refuse(options.url.place, "bad_url", "`url` is where the API begins, and has no `?` or `#`",
                      "parameters belong into `params` of the source, and secret ones into `auth: {query: …}`");
    return check_credentials(options, node);
}

const config::Spec<BasicAuth>& basic_spec() {
    static const auto made = config::Spec<BasicAuth>("basic", "A user's name and password (RFC 7617).")
                                 .required("user", &BasicAuth::user, "The name.", {.example = "loader"})
                                 .field("password", &BasicAuth::password, "The password.", {.example = "${PASSWORD}"});
    return made;
}

const config::Spec<NamedSecret>& header_spec() {
    static const auto made = config::Spec<NamedSecret>("header", "A header that says who asks.")
                                 .required("name", &NamedSecret::name, "The header's name.", {.example = "X-Api-Key"})
                                 .required("value", &NamedSecret::value, "Its value.", {.example = "${API_KEY}"});
    return made;
}

const config::Spec<NamedSecret>& query_spec() {
    static const auto made = config::Spec<NamedSecret>("query", "A parameter of the query that says who asks.")
                                 .required("name", &NamedSecret::name, "The parameter's name.", {.example = "api_key"})
                                 .required("value", &NamedSecret::value, "Its value.", {.example = "${API_KEY}"});
    return made;
}

const config::Spec<OAuth>& oauth_spec() {
    static const auto made =
        config::Spec<OAuth>("oauth2", "Client credentials of OAuth 2.0 (RFC 6749, section 4.4).")
            .required("token_url", &OAuth::token_url, "Where tokens are given.",
                      {.example = "https://login.example.com/oauth/token"})
            .required("client_id", &OAuth::client_id, "Who asks.", {.example = "penstock"})
            .required("client_secret", &OAuth::client_secret, "What proves it.", {.example = "${CLIENT_SECRET}"})
            .field("scope", &OAuth::scope, "What the token is to allow.", {.example = "users.read"})
            .field("params", &OAuth::params, "More fields of the request for a token.",
                   {.example = "{audience: https://api.example.com}"})
            .choice(
                "client_auth", &OAuth::client_auth,
                {{"basic", ClientAuth::basic, "In a header."}, {"body", ClientAuth::body, "In the request's form."}},
                "How id and secret are sent.");
    return made;
}

const config::Spec<Auth>& auth_spec() {
    static const auto made =
        config::Spec<Auth>("auth", "Who asks. Sent to the host of `url` and to no other.")
            .field("bearer", &Auth::bearer, "A token (RFC 6750).", {.example = "${API_TOKEN}"})
            .field("basic", &Auth::basic, basic_spec(), "A user's name and password.",
                   {.example = "{user: loader, password: \"${PASSWORD}\"}"})
            .field("header", &Auth::header, header_spec(), "A header of another name.",
                   {.example = "{name: X-Api-Key, value: \"${API_KEY}\"}"})
            .field("query", &Auth::query, query_spec(),
                   "A parameter of the query; servers write such into their logs, so a header is better.",
                   {.example = "{name: api_key, value: \"${API_KEY}\"}"})
            .field("oauth2", &Auth::oauth2, oauth_spec(), "Tokens of OAuth 2.0, by client credentials.",
                   {.example = "{token_url: \"https://login.example.com/token\", client_id: penstock, client_secret: "
                               "\"${CLIENT_SECRET}\"}"})
            .one_of({"bearer", "basic", "header", "query", "oauth2"});
    return made;
}

}  // namespace

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("http connection", "An HTTP API that answers JSON.")
            .include(config::connection_spec())
            .required("url", &C::url, "Where the API begins; the paths of sources are below it.",
                      {.example = "https://api.example.com/v1"})
            .field("auth", &C::auth, auth_spec(), "Who asks.", {.example = "{bearer: \"${API_TOKEN}\"}"})
            .field("headers", &C::headers,
                   "More headers of every request. Their values are never shown, and go to the host of `url` only.",
                   {.example = "{X-Tenant: acme}"})
            .field("ca", &C::ca, "Certificates to trust instead of the system's (PEM).", {.example = "ca.pem"})
            .field("requests_per_second", &C::requests_per_second,
                   "Requests are begun no more often. An API that says 429 is waited for anyway.",
                   {.example = "5", .default_note = "no limit", .least = 0.001, .most = 100000})
            .field("timeout", &C::timeout, "How long to wait for the whole of one answer.")
            .field("retry_for", &C::retry_for,
                   "How long a request that failed for the moment is tried again. A wait that the API asks for "
                   "and that is longer ends the run.")
            .field("max_answer", &C::max_answer,
                   "What one answer may hold at most, unpacked. Larger ones are refused: ask for smaller pages.",
                   {.default_note = "64MiB, or an eighth of `memory` where that is less"})
            .check(check_connection);
    return made;
}

}  // namespace penstock::http_api
