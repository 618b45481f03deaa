#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/http.h"

namespace penstock::io {

/// What a sender's identity token has to say.
struct ExpectedIdentity {
    std::string audience;
    std::string email;
    std::string keys_url;  ///< a JWKS document
};

/// Checks OpenID Connect identity tokens as Google's "Authentication for push subscriptions" asks: signed by RS256 with one of
/// the issuer's keys, for this audience, by this account whose e-mail is verified, not expired. Keys are kept as long as their
/// server's Cache-Control says (five minutes at least, a day at most), and asked for again when a token names one that is not among them,
/// at most every 30 seconds. Any thread.
class IdTokenVerifier {
  public:
    explicit IdTokenVerifier(ExpectedIdentity expected) : expected_(std::move(expected)) {}
    ~IdTokenVerifier();

    /// `refused` where the token is not good, `unavailable` where its keys could not be had. No error quotes the token.
    Status verify(std::string_view token, std::chrono::system_clock::time_point at, std::stop_token stop = {});

  private:
    struct Key;
    using Keys = std::map<std::string, std::shared_ptr<const Key>>;
    Result<std::shared_ptr<const Key>> key(const std::string& id, std::stop_token stop);
    Status fetch(std::stop_token stop);

    ExpectedIdentity expected_;
    HttpClient http_;
    std::mutex mutex_;
    Keys keys_;
    std::chrono::steady_clock::time_point fresh_until_{};
    std::chrono::steady_clock::time_point asked_at_{};
};

}  // namespace penstock::io
