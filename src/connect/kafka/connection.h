#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/secret.h"
#include "config/pipeline.h"
#include "transform/payload/registry_options.h"

namespace penstock::kafka {

enum class TlsVerify { none, ca, full };

struct TlsOptions {
    TlsVerify verify = TlsVerify::full;
    config::FilePath ca;
    config::FilePath cert;
    config::FilePath key;
    Secret key_password;
};

enum class SaslMechanism { plain, scram_sha_256, scram_sha_512 };

struct SaslOptions {
    SaslMechanism mechanism = SaslMechanism::scram_sha_512;
    std::string username;
    Secret password;
};

/// `connections: {bus: {type: kafka, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::Text brokers;
    std::optional<TlsOptions> tls;
    std::optional<SaslOptions> sasl;
    std::chrono::microseconds timeout = std::chrono::seconds(30);  ///< for an answer of the brokers
    std::optional<payload::RegistryOptions> schema_registry;
    std::map<std::string, config::Text> properties;                ///< librdkafka's, as they are
    std::string name;                                              ///< of the connection, for messages; not an option
};

const config::Spec<ConnectionOptions>& connection_spec();

/// The connection's options; secrets are remembered.
Result<ConnectionOptions> parse_connection(const config::Node& node, const std::string& name);

}  // namespace penstock::kafka
