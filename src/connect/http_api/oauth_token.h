#pragma once

#include <memory>

#include "connect/http_api/options.h"
#include "io/token.h"

namespace penstock::http_api {

/// Tokens by client credentials (RFC 6749, section 4.4).
std::unique_ptr<io::TokenSource> oauth_tokens(const OAuth& options);

}  // namespace penstock::http_api
