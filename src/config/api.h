#pragma once

#include <string>
#include <vector>

#include "base/secret.h"
#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// What whoever shows a token may do; each may do what those before it may.
enum class Role { viewer, operate, admin };
std::string_view to_string(Role role);

/// One entry of `api.tokens`. The token itself or its hash is given.
struct ApiToken {
    Text name;  ///< of whoever has it; the audit log shows it
    Role role = Role::viewer;
    Secret token;
    std::string sha256;

    /// SHA-256 of the token, as 64 lower-case hexadecimal digits.
    std::string digest() const;
};

/// `api`: who may use the HTTP API of `penstock serve`.
struct Api {
    std::vector<Located<ApiToken>> tokens;
};

const Spec<ApiToken>& api_token_spec();
const Spec<Api>& api_spec();

}  // namespace penstock::config
