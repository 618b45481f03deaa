#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "base/secret.h"
#include "io/http.h"

namespace penstock::io {

/// A bearer token and how long it is good for.
struct Token {
    Secret text;
    std::chrono::seconds lifetime{};
};

/// Where access tokens of one identity come from. fetch() asks anew each time; any thread.
class TokenSource {
  public:
    virtual ~TokenSource() = default;
    virtual Result<Token> fetch(HttpClient& http, std::stop_token stop) = 0;
    /// For people: "service account loader@p.iam.gserviceaccount.com".
    virtual std::string who() const = 0;
};

struct CredentialSettings {
    std::filesystem::path key_file;  ///< empty: Application Default Credentials
    std::string impersonate;         ///< the e-mail of a service account to act as, or ""
    std::string scope = "https://www.googleapis.com/auth/cloud-platform";
};

/// The identity that the settings name: a key file (service_account, authorized_user, impersonated_service_account), else by
/// Google's order of Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the metadata server.
/// Reads files; asks nobody yet.
Result<std::unique_ptr<TokenSource>> token_source(const CredentialSettings& settings);

/// user:password in base64 as HTTP's Basic has it, remembered as the secret that it is.
std::string basic_credentials(const std::string& user, const Secret& password);

/// Keeps a token until five minutes before its end. Any thread.
class TokenCache {
  public:
    explicit TokenCache(std::unique_ptr<TokenSource> source) : source_(std::move(source)) {}

    /// The header that says who asks: "Authorization: Bearer …".
    Result<std::string> header(HttpClient& http, std::stop_token stop);
    /// The server did not take the last one: the next call fetches another.
    void forget();
    std::string who() const { return source_->who(); }

  private:
    std::unique_ptr<TokenSource> source_;
    std::mutex mutex_;
    Secret token_;
    std::chrono::steady_clock::time_point until_{};
};

}  // namespace penstock::io
