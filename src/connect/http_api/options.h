#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/secret.h"
#include "config/pipeline.h"
#include "config/values.h"

namespace penstock::http_api {

struct BasicAuth {
    config::Text user;
    Secret password;
};

/// A header or a query's parameter that says who asks.
struct NamedSecret {
    config::Text name;
    Secret value;
};

/// How a client proves to a token endpoint who it is (RFC 6749, section 2.3.1).
enum class ClientAuth { basic, body };

/// Client credentials of OAuth 2.0 (RFC 6749, section 4.4).
struct OAuth {
    config::Text token_url;
    config::Text client_id;
    Secret client_secret;
    config::Text scope;
    std::map<std::string, std::string> params;
    ClientAuth client_auth = ClientAuth::basic;
};

struct Auth {
    std::optional<Secret> bearer;
    std::optional<BasicAuth> basic;
    std::optional<NamedSecret> header;
    std::optional<NamedSecret> query;
    std::optional<OAuth> oauth2;
};

/// `connections: {crm: {type: http, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::Text url;
    std::optional<Auth> auth;
    std::map<std::string, Secret> headers;
    config::FilePath ca;
    std::optional<double> requests_per_second;
    std::chrono::microseconds timeout = std::chrono::minutes(1);
    std::chrono::microseconds retry_for = std::chrono::minutes(5);
    config::Bytes max_answer{uint64_t{64} << 20};
};

const config::Spec<ConnectionOptions>& connection_spec();

}  // namespace penstock::http_api
