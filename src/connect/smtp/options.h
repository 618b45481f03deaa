#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/pipeline.h"

namespace penstock::smtp {

enum class Tls { starttls, wrapped, none };

/// `connections: {mail: {type: smtp, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::Text host;
    std::optional<int64_t> port;
    Tls tls = Tls::starttls;
    std::string user;
    Secret password;
    config::Text from;
    std::vector<config::Text> to;
    config::FilePath ca;
    std::chrono::microseconds timeout = std::chrono::seconds(30);

    /// Those of RFC 6409 and 8314 where none is given.
    int64_t port_or_default() const;
};

const config::Spec<ConnectionOptions>& connection_spec();

}  // namespace penstock::smtp
