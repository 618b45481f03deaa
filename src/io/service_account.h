#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "io/token.h"

namespace penstock::io {

struct ServiceAccountKey {
    std::string email;
    std::string key_id;
    std::string token_uri;
    Secret private_key;  ///< PEM
};

/// RFC 7523: an assertion signed with the account's key is given for a token ("Using OAuth 2.0 for server to server
/// applications").
std::unique_ptr<TokenSource> service_account(ServiceAccountKey key, std::string scope);

/// The signed assertion, for a moment given in seconds of 1970.
Result<std::string> signed_assertion(const ServiceAccountKey& key, const std::string& scope, int64_t issued_at);

/// Asks an OAuth token endpoint; `form` is the request's body. Passing failures are tried again.
Result<Token> ask_for_token(HttpClient& http, const std::string& url, const std::string& form, std::stop_token stop);

/// What an answer with `access_token` and `expires_in` says.
Result<Token> read_token(const Response& response, const std::string& from);

}  // namespace penstock::io
