#include "connect/http_api/oauth_token.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/url.h"

namespace penstock::http_api {
namespace {

using Json = nlohmann::json;

/// Where the answer does not say how long a token is good for.
constexpr auto usual_lifetime = std::chrono::minutes(10);

class ClientCredentials : public io::TokenSource {
  public:
    explicit ClientCredentials(OAuth options) : options_(std::move(options)) {}

    Result<io::Token> fetch(io::HttpClient& http, std::stop_token stop) override {
        auto answer = http.send(request(), std::move(stop));
        if (!answer) return fail(std::move(answer.error()));
        auto json = Json::parse(answer->body, nullptr, false);
        if (!answer->good()) return fail(refused(*answer, json));
        if (!json.is_object() || !json.contains("access_token") || !json["access_token"].is_string())
            return fail(problem(ErrorKind::refused, "answered without an access_token", "check `token_url`"));
        auto token = json["access_token"].get<std::string>();
        remember_secret(token);
        std::chrono::seconds lifetime = usual_lifetime;
        if (json.contains("expires_in") && json["expires_in"].is_number())
            lifetime = std::chrono::seconds(json["expires_in"].get<int64_t>());
        return io::Token{.text = Secret(std::move(token)), .lifetime = lifetime};
    }

    std::string who() const override { return options_.client_id.value; }

  private:
    io::Request request() const {
        std::string form = "grant_type=client_credentials";
        auto add = [&](const std::string& name, const std::string& value) {
            form += fmt::format("&{}={}", io::escape_url(name), io::escape_url(value));
        };
        if (!options_.scope.empty()) add("scope", options_.scope.value);
        for (const auto& [name, value] : options_.params) add(name, value);
        io::Request out{.method = "POST",
                        .url = options_.token_url.value,
                        .headers = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json"},
                        .timeout = std::chrono::seconds(30),
                        .most_bytes = size_t{1} << 20};
        if (options_.client_auth == ClientAuth::body) {
            remember_secret(io::escape_url(options_.client_secret.reveal()));
            add("client_id", options_.client_id.value);
            add("client_secret", options_.client_secret.reveal());
        } else {
            // Section 2.3.1: both are escaped as in a form before they are joined.
            out.headers.push_back("Authorization: Basic " +
                                  io::basic_credentials(io::escape_url(options_.client_id.value),
                                                        Secret(io::escape_url(options_.client_secret.reveal()))));
        }
        out.body = std::move(form);
        return out;
    }

    Error problem(ErrorKind kind, const std::string& what, std::string hint) const {
        auto origin = io::origin_of(options_.token_url.value);
        return {.kind = kind,
                .code = "no_token",
                .message = fmt::format("no token for {}: {} {}", options_.client_id.value,
                                       origin ? origin->text : std::string("the token endpoint"), what),
                .where = options_.token_url.place.text(),
                .hint = std::move(hint)};
    }

    /// Section 5.2: `error` is a word, `error_description` a sentence.
    Error refused(const io::Response& answer, const Json& json) const {
        std::string said = fmt::format("answered {}", answer.status);
        for (const char* name : {"error", "error_description"})
            if (json.is_object() && json.contains(name) && json[name].is_string())
                said += ": " + json[name].get<std::string>().substr(0, 200);
        bool passing = answer.status >= 500 || answer.status == 429;
        return problem(passing ? ErrorKind::unavailable : ErrorKind::refused, redact(said),
                       "check `client_id`, `client_secret` and `scope`");
    }

    OAuth options_;
};

}  // namespace

std::unique_ptr<io::TokenSource> oauth_tokens(const OAuth& options) {
    return std::make_unique<ClientCredentials>(options);
}

}  // namespace penstock::http_api
