#include "io/token.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/base64.h"
#include "base/json_member.h"
#include "io/google_error.h"
#include "io/retry.h"
#include "io/service_account.h"
#include "io/url.h"

namespace penstock::io {
namespace {

using Json = nlohmann::json;
using std::filesystem::path;

constexpr auto spare = std::chrono::minutes(5);  // a token is renewed so long before its end

Error bad_file(const path& file, std::string_view why) {
    return {.kind = ErrorKind::configuration,
            .code = "bad_credentials",
            .message = fmt::format("the credentials file {} {}", file.string(), why),
            .hint = "name the JSON key file of a service account, readable by this account"};
}

/// Secrets go only to hosts that are encrypted or on this machine.
Status check_secret_url(const path& file, const std::string& url) {
    auto origin = origin_of(url);
    if (origin && (origin->encrypted || origin->is_loopback())) return {};
    return fail(bad_file(file, "names a token address without encryption"));
}

/// gcloud's own login: a refresh token for a token.
class AuthorizedUser final : public TokenSource {
  public:
    AuthorizedUser(std::string uri, std::string form) : uri_(std::move(uri)), form_(std::move(form)) {}
    Result<Token> fetch(HttpClient& http, std::stop_token stop) override {
        return ask_for_token(http, uri_, form_.reveal(), std::move(stop));
    }
    std::string who() const override { return "the user of `gcloud auth application-default login`"; }

  private:
    std::string uri_;
    Secret form_;
};

/// The account that a virtual machine, a container or a function runs as.
class MetadataServer final : public TokenSource {
  public:
    explicit MetadataServer(std::string host) : host_(std::move(host)) {}

    Result<Token> fetch(HttpClient& http, std::stop_token stop) override {
        Request request{
            .url = fmt::format("http://{}/computeMetadata/v1/instance/service-accounts/default/token", host_),
            .headers = {"Metadata-Flavor: Google"},
            .timeout = std::chrono::seconds(5),
            .most_bytes = size_t{1} << 20};
        auto response = http.send(request, std::move(stop));
        if (!response) {
            Error none{.kind = ErrorKind::configuration,
                       .code = "no_credentials",
                       .message =
                           "no Google credentials were found: no `credentials`, no "
                           "GOOGLE_APPLICATION_CREDENTIALS, none of gcloud's, no metadata server",
                       .hint = "name a service account's key file under the connection's `credentials`"};
            if (response.error().kind == ErrorKind::interrupted) return fail(std::move(response.error()));
            none.cause = std::make_shared<const Error>(std::move(response.error()));
            return fail(std::move(none));
        }
        return read_token(*response, "the metadata server");
    }
    std::string who() const override { return "the account of this machine (metadata server)"; }

  private:
    std::string host_;
};

/// "Create short-lived credentials for a service account": another's token for one of the account to act as.
class Impersonated final : public TokenSource {
  public:
    Impersonated(std::unique_ptr<TokenSource> own, std::string url, std::string account, std::string scope)
        : own_(std::move(own)), url_(std::move(url)), account_(std::move(account)), scope_(std::move(scope)) {}

    Result<Token> fetch(HttpClient& http, std::stop_token stop) override {
        PN_TRY(auto own, own_->fetch(http, stop));
        Request request{.method = "POST",
                        .url = url_,
                        .headers = {"Authorization: Bearer " + own.text.reveal(), "Content-Type: application/json"},
                        .body = Json{{"scope", {scope_}}, {"lifetime", "3600s"}}.dump(),
                        .timeout = std::chrono::seconds(30),
                        .most_bytes = size_t{1} << 20};
        PN_TRY(auto response, http.send(request, std::move(stop)));
        if (!response.good()) {
            auto error = google_error(response);
            return fail({.kind = is_passing(error.status, error.reason) ? ErrorKind::unavailable : ErrorKind::refused,
                         .code = "impersonation_refused",
                         .message = fmt::format("{} may not act as {}: {} {}", own_->who(), account_, error.status,
                                                error.message),
                         .hint = "grant it roles/iam.serviceAccountTokenCreator on that account"});
        }
        auto body = Json::parse(response.body, nullptr, false);
        std::string text = body.is_object() ? text_of(body, "accessToken") : "";
        if (text.empty() || text.find_first_of("\r\n") != text.npos)
            return fail({.kind = ErrorKind::unavailable,
                         .code = "no_token",
                         .message = "impersonation was answered without an access token"});
        remember_secret(text);
        return Token{.text = Secret(text), .lifetime = std::chrono::hours(1)};
    }
    std::string who() const override { return fmt::format("service account {} (by {})", account_, own_->who()); }

  private:
    std::unique_ptr<TokenSource> own_;
    std::string url_;
    std::string account_;
    std::string scope_;
};

using Source = std::unique_ptr<TokenSource>;

std::string impersonation_url(const std::string& account) {
    return fmt::format("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateAccessToken",
                       escape_url(account));
}

Result<Source> from_json(const path& file, const Json& json, const std::string& scope, int depth = 0) {
    for (const char* name : {"private_key", "client_secret", "refresh_token"}) remember_secret(text_of(json, name));
    std::string type = text_of(json, "type"), uri = text_of(json, "token_uri");
    if (uri.empty()) uri = "https://oauth2.googleapis.com/token";
    PN_CHECK(check_secret_url(file, uri));
    if (type == "service_account") {
        ServiceAccountKey key{.email = text_of(json, "client_email"),
                              .key_id = text_of(json, "private_key_id"),
                              .token_uri = uri,
                              .private_key = Secret(text_of(json, "private_key"))};
        if (key.email.empty() || key.private_key.empty())
            return fail(bad_file(file, "has no client_email or no private_key"));
        return service_account(std::move(key), scope);
    }
    if (type == "authorized_user") {
        std::string form =
            fmt::format("grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
                        escape_url(text_of(json, "client_id")), escape_url(text_of(json, "client_secret")),
                        escape_url(text_of(json, "refresh_token")));
        return std::make_unique<AuthorizedUser>(uri, std::move(form));
    }
    if (type == "impersonated_service_account" && json.contains("source_credentials") && depth == 0) {
        std::string url = text_of(json, "service_account_impersonation_url");
        PN_CHECK(check_secret_url(file, url));
        PN_TRY(auto own, from_json(file, json["source_credentials"], scope, 1));
        auto slash = url.rfind('/');
        std::string account = url.substr(slash + 1, url.find(':', slash) - slash - 1);
        return std::make_unique<Impersonated>(std::move(own), url, account, scope);
    }
    return fail(
        bad_file(file, type.empty() ? "is none of Google's" : fmt::format("has type {}, which is not taken", type)));
}

Result<Source> from_file(const path& file, const std::string& scope) {
    std::ifstream in(file);
    std::stringstream text;
    if (!in || !(text << in.rdbuf())) return fail(bad_file(file, "cannot be read"));
    auto json = Json::parse(text.str(), nullptr, false);
    if (!json.is_object()) return fail(bad_file(file, "is no JSON object"));
    return from_json(file, json, scope);
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

path gcloud_file() {
    path folder = environment("CLOUDSDK_CONFIG");
    if (folder.empty() && !environment("HOME").empty()) folder = path(environment("HOME")) / ".config/gcloud";
    return folder.empty() ? path() : folder / "application_default_credentials.json";
}

Result<Source> application_default(const std::string& scope) {
    if (auto named = environment("GOOGLE_APPLICATION_CREDENTIALS"); !named.empty()) return from_file(named, scope);
    std::error_code ignored;
    if (auto file = gcloud_file(); !file.empty() && std::filesystem::exists(file, ignored))
        return from_file(file, scope);
    auto host = environment("GCE_METADATA_HOST");
    return std::make_unique<MetadataServer>(host.empty() ? "metadata.google.internal" : host);
}

}  // namespace

Result<std::unique_ptr<TokenSource>> token_source(const CredentialSettings& settings) {
    PN_TRY(auto own, settings.key_file.empty() ? application_default(settings.scope)
                                               : from_file(settings.key_file, settings.scope));
    if (settings.impersonate.empty()) return own;
    return std::make_unique<Impersonated>(std::move(own), impersonation_url(settings.impersonate), settings.impersonate,
                                          settings.scope);
}

std::string basic_credentials(const std::string& user, const Secret& password) {
    auto text = to_base64(user + ":" + password.reveal());
    remember_secret(text);
    return text;
}

Result<std::string> TokenCache::header(HttpClient& http, std::stop_token stop) {
    std::lock_guard lock(mutex_);
    auto now = std::chrono::steady_clock::now();
    if (token_.empty() || now >= until_) {
        PN_TRY(auto token, source_->fetch(http, std::move(stop)));
        token_ = token.text;
        // A token that lives shorter than what is spared is used for half of its life.
        std::chrono::seconds kept = std::max<std::chrono::seconds>(token.lifetime - spare, token.lifetime / 2);
        until_ = now + kept;
    }
    return "Authorization: Bearer " + token_.reveal();
}

void TokenCache::forget() {
    std::lock_guard lock(mutex_);
    token_ = Secret();
}

}  // namespace penstock::io
