#include "io/service_account.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/clock.h"
#include "io/google_error.h"
#include "io/retry.h"
#include "io/url.h"

namespace penstock::io {
namespace {

using Json = nlohmann::json;

constexpr auto assertion_lifetime = std::chrono::hours(1);  // Google takes no longer one

Error bad_key(std::string why) {
    return {.kind = ErrorKind::configuration,
            .code = "bad_credentials",
            .message = fmt::format("the service account's key cannot be used: {}", why),
            .hint = "create a new JSON key of the account and name its file under `credentials`"};
}

Result<std::string> sign_rs256(const std::string& text, const Secret& pem) {
    std::unique_ptr<BIO, decltype(&BIO_free)> bio(
        BIO_new_mem_buf(pem.reveal().data(), static_cast<int>(pem.reveal().size())), BIO_free);
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    if (key == nullptr || EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) return fail(bad_key("it is no RSA key in PEM"));
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    size_t size = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    bool good = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
                EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1;
    std::string signature(size, '\0');
    good = good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes,
                                  text.size()) == 1;
    if (!good) return fail(bad_key("OpenSSL could not sign with it"));
    signature.resize(size);
    return signature;
}

class ServiceAccount final : public TokenSource {
  public:
    ServiceAccount(ServiceAccountKey key, std::string scope) : key_(std::move(key)), scope_(std::move(scope)) {}

    Result<Token> fetch(HttpClient& http, std::stop_token stop) override {
        // Not penstock::now(), which tests may pin: Google refuses assertions of another time.
        auto issued_at = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
        PN_TRY(auto assertion, signed_assertion(key_, scope_, issued_at));
        remember_secret(assertion);
        return ask_for_token(
            http, key_.token_uri,
            "grant_type=" + escape_url("urn:ietf:params:oauth:grant-type:jwt-bearer") + "&assertion=" + assertion,
            std::move(stop));
    }
    std::string who() const override { return "service account " + key_.email; }

  private:
    ServiceAccountKey key_;
    std::string scope_;
};

Error token_refused(const Response& response, const std::string& from) {
    auto error = google_error(response);
    bool passing = is_passing(error.status, error.reason);
    return {.kind = passing ? ErrorKind::unavailable : ErrorKind::refused,
            .code = "no_token",
            .message = fmt::format("{} gave no access token: {} {}{}{}", from, response.status, error.reason,
                                   error.message.empty() ? "" : ": ", error.message),
            .hint = passing ? "" : "is the key still valid, the account enabled, and this machine's clock right?"};
}

}  // namespace

Result<std::string> signed_assertion(const ServiceAccountKey& key, const std::string& scope, int64_t issued_at) {
    Json header = {{"alg", "RS256"}, {"typ", "JWT"}};
    if (!key.key_id.empty()) header["kid"] = key.key_id;
    int64_t expires = issued_at + std::chrono::seconds(assertion_lifetime).count();
    Json claims = {{"iss", key.email}, {"scope", scope}, {"aud", key.token_uri}, {"iat", issued_at}, {"exp", expires}};
    std::string text = to_base64_url(header.dump()) + "." + to_base64_url(claims.dump());
    PN_TRY(auto signature, sign_rs256(text, key.private_key));
    return text + "." + to_base64_url(signature);
}

Result<Token> read_token(const Response& response, const std::string& from) {
    if (!response.good()) return fail(token_refused(response, from));
    auto body = Json::parse(response.body, nullptr, false);
    std::string text = body.is_object() && body.contains("access_token") && body["access_token"].is_string()
                           ? body["access_token"].get<std::string>()
                           : "";
    if (text.empty() || text.find_first_of("\r\n") != text.npos)
        return fail({.kind = ErrorKind::unavailable,
                     .code = "no_token",
                     .message = fmt::format("{} answered without an access token", from)});
    remember_secret(text);
    int64_t lifetime = 3600;
    if (auto found = body.find("expires_in"); found != body.end() && found->is_number_integer())
        lifetime = found->get<int64_t>();
    return Token{.text = Secret(text), .lifetime = std::chrono::seconds(lifetime)};
}

Result<Token> ask_for_token(HttpClient& http, const std::string& url, const std::string& form, std::stop_token stop) {
    Request request{.method = "POST",
                    .url = url,
                    .headers = {"Content-Type: application/x-www-form-urlencoded"},
                    .body = form,
                    .timeout = std::chrono::seconds(30),
                    .most_bytes = size_t{1} << 20};
    PN_TRY(auto response, with_retries({.deadline = std::chrono::minutes(1)}, stop, [&](int) {
               auto answer = http.send(request, stop);
               bool again = answer ? is_passing(answer->status, "") : answer.error().kind == ErrorKind::unavailable;
               auto asked = answer ? retry_after(*answer) : std::chrono::milliseconds();
               return Attempted{.response = std::move(answer), .again = again, .asked = asked};
           }));
    return read_token(response, url.substr(0, url.find('?')));
}

std::unique_ptr<TokenSource> service_account(ServiceAccountKey key, std::string scope) {
    return std::make_unique<ServiceAccount>(std::move(key), std::move(scope));
}

}  // namespace penstock::io
