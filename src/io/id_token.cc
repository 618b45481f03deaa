#include "io/id_token.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/base64.h"
#include "base/json_member.h"

namespace penstock::io {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds skew{300};  // clocks of machines that nobody watches
constexpr std::chrono::seconds ask_again_after{30};
constexpr std::chrono::seconds ask_again_without_keys{2};

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using PublicKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

Error refused(std::string why) {
    return {.kind = ErrorKind::refused,
            .code = "bad_identity_token",
            .message = "the identity token is not good: " + why,
            .hint = "compare `audience` and `service_account` of the trigger with the push subscription's"};
}

Error no_keys(const std::string& url, const std::string& why) {
    return {.kind = ErrorKind::unavailable,
            .code = "no_identity_keys",
            .message = fmt::format("the keys of identity tokens could not be had from {}: {}", url, why),
            .hint = "is the address right, and reachable from this machine?"};
}

/// Of a claim that counts seconds since 1970.
std::optional<double> time_of(const Json& object, const char* name) {
    auto found = object.find(name);
    return found != object.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

PublicKey rsa_key(const std::string& modulus, const std::string& exponent) {
    auto number = [](const std::string& bytes) {
        return std::unique_ptr<BIGNUM, Freed<BN_free>>(
            BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
    };
    auto n = number(modulus), e = number(exponent);
    std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>> build(OSSL_PARAM_BLD_new());
    OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
    OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
    std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>> parameters(OSSL_PARAM_BLD_to_param(build.get()));
    std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
    EVP_PKEY* key = nullptr;
    if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
        return nullptr;
    return PublicKey(key);
}

/// max-age of Cache-Control, within bounds.
std::chrono::seconds lifetime_of(const Response& response) {
    long seconds = 0;
    auto control = response.header("cache-control");
    if (auto at = control.find("max-age="); at != control.npos) seconds = std::atol(control.c_str() + at + 8);
    return std::chrono::seconds(std::clamp(seconds, 300L, 86'400L));
}

/// The claims, once the signature is known to be the issuer's.
Status check_claims(const Json& claims, const ExpectedIdentity& expected, std::chrono::system_clock::time_point at) {
    double now = std::chrono::duration<double>(at.time_since_epoch()).count();
    double slack = static_cast<double>(skew.count());
    auto issuer = text_of(claims, "iss");
    if (issuer != "https://accounts.google.com" && issuer != "accounts.google.com")
        return fail(refused("another issuer than accounts.google.com"));
    auto audience = claims.find("aud");
    bool meant = audience != claims.end() &&
                 (audience->is_array() ? std::ranges::find(*audience, Json(expected.audience)) != audience->end()
                                       : *audience == Json(expected.audience));
    if (!meant) return fail(refused("it is for another audience"));
    auto expires = time_of(claims, "exp"), issued = time_of(claims, "iat"), begins = time_of(claims, "nbf");
    if (!expires || !issued) return fail(refused("it does not say when it was issued and when it expires"));
    if (*expires + slack <= now) return fail(refused("it has expired"));
    if (*issued - slack > now || (begins && *begins - slack > now)) return fail(refused("it is of the future"));
    if (text_of(claims, "email") != expected.email) return fail(refused("it is another account's"));
    auto verified = claims.find("email_verified");
    if (verified == claims.end() || *verified != Json(true)) return fail(refused("its e-mail address is not verified"));
    return {};
}

struct Parts {
    Json header, claims;
    std::string_view text;  ///< what is signed
    std::string signature;
};

Result<Parts> split(std::string_view token) {
    auto first = token.find('.'), second = token.rfind('.');
    if (first == token.npos || second == first || token.size() > 16'384) return fail(refused("it is no signed token"));
    auto header = from_base64(token.substr(0, first)),
         claims = from_base64(token.substr(first + 1, second - first - 1));
    auto signature = from_base64(token.substr(second + 1));
    if (!header || !claims || !signature) return fail(refused("it is no signed token"));
    Parts parts{Json::parse(*header, nullptr, false), Json::parse(*claims, nullptr, false), token.substr(0, second),
                std::move(*signature)};
    if (!parts.header.is_object() || !parts.claims.is_object()) return fail(refused("it is no signed token"));
    return parts;
}

}  // namespace

struct IdTokenVerifier::Key {
    PublicKey key;

    bool has_signed(std::string_view text, const std::string& signature) const {
        std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
        return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
               EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                                signature.size(), reinterpret_cast<const unsigned char*>(text.data()),
                                text.size()) == 1;
    }
};

IdTokenVerifier::~IdTokenVerifier() = default;

Status IdTokenVerifier::verify(std::string_view token, std::chrono::system_clock::time_point at, std::stop_token stop) {
    PN_TRY(auto parts, split(token));
    // The algorithm is ours to choose, never the token's.
    if (text_of(parts.header, "alg") != "RS256") return fail(refused("it is not signed by RS256"));
    PN_TRY(auto key, this->key(text_of(parts.header, "kid"), std::move(stop)));
    if (key == nullptr) return fail(refused("it names a key that its issuer does not have"));
    if (!key->has_signed(parts.text, parts.signature)) return fail(refused("its signature is wrong"));
    return check_claims(parts.claims, expected_, at);
}

Result<std::shared_ptr<const IdTokenVerifier::Key>> IdTokenVerifier::key(const std::string& id, std::stop_token stop) {
    std::lock_guard lock(mutex_);
    auto found = [&]() -> std::shared_ptr<const Key> {
        auto at = keys_.find(id);
        return at == keys_.end() ? nullptr : at->second;
    };
    auto now = Clock::now();
    bool fresh = now < fresh_until_;
    if (fresh && found()) return found();
    // A flood of tokens with made-up keys must not become a flood of questions.
    auto pause = keys_.empty() ? ask_again_without_keys : ask_again_after;
    if (asked_at_ == Clock::time_point{} || now - asked_at_ >= pause) {
        auto fetched = fetch(std::move(stop));
        asked_at_ = Clock::now();
        if (!fetched && keys_.empty()) return fail(std::move(fetched.error()));  // older keys still do
    }
    if (keys_.empty()) return fail(no_keys(expected_.keys_url, "they did not come a moment ago"));
    return found();
}

Status IdTokenVerifier::fetch(std::stop_token stop) {
    Request request{.url = expected_.keys_url, .timeout = std::chrono::seconds(10), .most_bytes = size_t{1} << 20};
    PN_TRY(auto response, http_.send(request, std::move(stop)));
    if (!response.good()) return fail(no_keys(expected_.keys_url, fmt::format("status {}", response.status)));
    auto document = Json::parse(response.body, nullptr, false);
    if (!document.is_object() || !document["keys"].is_array())
        return fail(no_keys(expected_.keys_url, "the answer is no set of keys"));
    Keys keys;
    for (const auto& one : document["keys"]) {
        if (!one.is_object() || text_of(one, "kty") != "RSA") continue;
        auto n = from_base64(text_of(one, "n")), e = from_base64(text_of(one, "e"));
        if (!n || !e || n->size() < 256) continue;  // shorter than 2048 bits
        if (auto key = rsa_key(*n, *e)) keys[text_of(one, "kid")] = std::make_shared<Key>(std::move(key));
    }
    if (keys.empty()) return fail(no_keys(expected_.keys_url, "there is no RSA key of 2048 bits or more"));
    keys_ = std::move(keys);
    fresh_until_ = Clock::now() + lifetime_of(response);
    return {};
}

}  // namespace penstock::io
