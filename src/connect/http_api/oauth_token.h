#pragma once

#include <memory>

#include "connect/http_api/options.h"
#include "io/token.h"

namespace penstock::http_api {

/// Tokens by client credentials (RFC 6749, section 4.4).
std::unique_ptr<io::TokenSource> oauth_tokens(const OAuth& options);

/// user:password in base64, remembered as the secret that it is.
std::string basic_credentials(const std::string& user, const Secret& password);

}  // namespace penstock::http_api
