#include "connect/kafka/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"

namespace penstock::kafka {
namespace {

const config::Spec<TlsOptions>& tls_spec() {
    using T = TlsOptions;
    static const auto made =
        config::Spec<T>("tls", "How the connection is encrypted and both ends prove who they are.")
            .choice("verify", &T::verify,
                    {{"full", TlsVerify::full, "Signed by `ca`, and issued for the broker's name."},
                     {"ca", TlsVerify::ca, "Signed by `ca`."},
                     {"none", TlsVerify::none, "Encrypted, the broker's certificate unchecked."}},
                    "How much is asked of the brokers' certificates.")
            .field("ca", &T::ca, "Certificates of the authorities that are trusted (PEM).",
                   {.example = "ca.pem", .default_note = "those the system trusts"})
            .field("cert", &T::cert, "The client's own certificate (PEM).", {.example = "client-cert.pem"})
            .field("key", &T::key, "The private key of `cert` (PEM).", {.example = "client-key.pem"})
            .field("key_password", &T::key_password, "What `key` is encrypted with.")
            .requires_other("cert", "key")
            .requires_other("key", "cert");
    return made;
}

const config::Spec<SaslOptions>& sasl_spec() {
    using S = SaslOptions;
    static const auto made =
        config::Spec<S>("sasl", "How we prove who we are, with or without TLS.")
            .choice("mechanism", &S::mechanism,
                    {{"SCRAM-SHA-512", SaslMechanism::scram_sha_512, "The password is never sent."},
                     {"SCRAM-SHA-256", SaslMechanism::scram_sha_256, "The same, with a shorter hash."},
                     {"PLAIN", SaslMechanism::plain, "The password is sent: only together with `tls`."}},
                    "What the brokers ask for.")
            .required("username", &S::username, "Who we are.", {.example = "penstock"})
            .required("password", &S::password, "The password.", {.example = "${KAFKA_PASSWORD}"});
    return made;
}

/// What Penstock's promises rest on, or an option says: names that begin so.
constexpr std::string_view ours[] = {"acks",
                                     "allow.auto.create",
                                     "auto.",
                                     "bootstrap.servers",
                                     "compression.",
                                     "enable.",
                                     "group.",
                                     "isolation.level",
                                     "max.in.flight",
                                     "message.max.bytes",
                                     "metadata.broker.list",
                                     "plugin.",
                                     "queue.buffering.max.",
                                     "request.required.acks",
                                     "sasl.",
                                     "security.protocol",
                                     "ssl.",
                                     "transaction",
                                     "delivery.timeout.ms",
                                     "message.timeout.ms",
                                     "retries"};

Status check_connection(const ConnectionOptions& options, const config::Node& node) {
    if (options.brokers.empty())
        return fail(config::problem(*node.find("brokers"), "no_brokers", "brokers is empty",
                                    "write host:port, several with commas between"));
    for (const auto& [name, value] : options.properties) {
        bool taken = std::ranges::any_of(ours, [&](std::string_view own) { return name.starts_with(own); });
        if (!taken) continue;
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "property_taken",
             .message = fmt::format("property {} is Penstock's own business: what it promises rests on it", name),
             .where = value.place.text(),
             .hint = "leave it out; brokers, tls, sasl and the target's options say what may be chosen"});
    }
    return {};
}

}  // namespace

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("kafka connection", "A Kafka cluster of version 2.5 or later, or one that speaks like it.")
            .include(config::connection_spec())
            .required("brokers", &C::brokers, "Some of the brokers, host:port, with commas between.",
                      {.example = "\"kafka-1:9092,kafka-2:9092\""})
            .field("tls", &C::tls, tls_spec(),
                   "Encryption and certificates; `{}` is enough for brokers that the system trusts.")
            .field("sasl", &C::sasl, sasl_spec(), "User and password.")
            .field("timeout", &C::timeout,
                   "How long to wait for an answer of the brokers before the run is tried again.")
            .field("properties", &C::properties,
                   "Further properties of librdkafka, as they are. Those that Penstock's promises rest on are refused.",
                   {.example = "{socket.keepalive.enable: \"true\"}"})
            .field(
                "schema_registry", &C::schema_registry, payload::registry_spec().codec_or("url"),
                "Where the schemas of messages are, by an URL or with these options, for events in `format: avro` and "
                "`protobuf`, and in `json` behind "
                "the number of a schema.")
            .check(check_connection);
    return made;
}

Result<ConnectionOptions> parse_connection(const config::Node& node, const std::string& name) {
    PN_TRY(auto options, connection_spec().parse(node));
    options.name = name;
    if (options.sasl) remember_secret(options.sasl->password.reveal());
    if (options.tls && !options.tls->key_password.empty()) remember_secret(options.tls->key_password.reveal());
    return options;
}

}  // namespace penstock::kafka
