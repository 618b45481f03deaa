#include "connect/kafka/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/log.h"

namespace penstock::kafka {

struct Client::State {
    ConnectionOptions connection;
    Delivery delivery;
    Rebalance rebalance;
    rd_kafka_t* handle = nullptr;
    bool consumer = false;
    std::mutex mutex;
    rd_kafka_resp_err_t trouble = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::string trouble_words;

    ~State() {
        if (handle == nullptr) return;
        if (consumer) rd_kafka_consumer_close(handle);
        rd_kafka_destroy(handle);
    }

    static State* of(void* opaque) { return static_cast<State*>(opaque); }
};

namespace {

using Words = std::array<char, 512>;

/// A client that reconnects says so at length; what matters comes back as an error of the call that suffers from it.
void write_log(const rd_kafka_t*, int level, const char* facility, const char* words) {
    log::write(level <= 3 ? log::Level::warning : log::Level::debug, fmt::format("kafka: {}: {}", facility, words));
}

Status set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value, const std::string& where) {
    Words words{};
    auto answer = rd_kafka_conf_set(conf, name.c_str(), value.c_str(), words.data(), words.size());
    if (answer == RD_KAFKA_CONF_OK) return {};
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_property",
                 .message = fmt::format("librdkafka does not take property {}: {}", name, words.data()),
                 .where = where,
                 .hint = "see librdkafka's CONFIGURATION.md for names and values"});
}

std::string_view mechanism_name(SaslMechanism mechanism) {
    switch (mechanism) {
        case SaslMechanism::plain: return "PLAIN";
        case SaslMechanism::scram_sha_256: return "SCRAM-SHA-256";
        case SaslMechanism::scram_sha_512: return "SCRAM-SHA-512";
    }
    std::unreachable();
}

Properties properties_of(const ConnectionOptions& options) {
    Properties out = {{"bootstrap.servers", options.brokers.value}, {"client.id", "penstock"}};
    out.emplace_back("security.protocol", options.sasl ? (options.tls ? "sasl_ssl" : "sasl_plaintext")
                                                       : (options.tls ? "ssl" : "plaintext"));
    if (options.tls) {
        const auto& tls = *options.tls;
        out.emplace_back("enable.ssl.certificate.verification", tls.verify == TlsVerify::none ? "false" : "true");
        out.emplace_back("ssl.endpoint.identification.algorithm", tls.verify == TlsVerify::full ? "https" : "none");
        if (!tls.ca.empty()) out.emplace_back("ssl.ca.location", tls.ca.value.string());
        if (!tls.cert.empty()) out.emplace_back("ssl.certificate.location", tls.cert.value.string());
        if (!tls.key.empty()) out.emplace_back("ssl.key.location", tls.key.value.string());
        if (!tls.key_password.empty()) out.emplace_back("ssl.key.password", tls.key_password.reveal());
    }
    if (options.sasl) {
        out.emplace_back("sasl.mechanism", mechanism_name(options.sasl->mechanism));
        out.emplace_back("sasl.username", options.sasl->username);
        out.emplace_back("sasl.password", options.sasl->password.reveal());
    }
    return out;
}

struct Judgement {
    ErrorKind kind;
    std::string_view code;
    std::string_view hint;
};

Judgement judge(rd_kafka_resp_err_t code) {
    switch (code) {
        case RD_KAFKA_RESP_ERR__FENCED:
        case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
        case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
            return {ErrorKind::refused, "fenced",
                    "another run of this pipeline has taken over: let it be the only one. Nothing of this run's open "
                    "transaction is visible"};
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
            return {ErrorKind::refused, "authentication_failed", "look at `sasl` and `tls` of the connection"};
        case RD_KAFKA_RESP_ERR__SSL:
            return {ErrorKind::refused, "tls_failed", "look at `tls` of the connection: ca, cert, key"};
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return {ErrorKind::refused, "not_authorized",
                    "the user needs Write, Describe and Create on the topics, Read on the bookkeeping topics, and "
                    "Write and "
                    "Describe on the transactional id"};
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            // Worth another attempt: a broker that has just started may not know its topics yet.
            return {ErrorKind::unavailable, "no_such_topic", "create the topic, or set `create_topics: true`"};
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
            return {ErrorKind::data, "message_too_large", "raise max.message.bytes of the topic"};
        case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
            return {ErrorKind::configuration, "transaction_timeout",
                    "the brokers' transaction.max.timeout.ms is below `transaction_timeout`: lower that"};
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        case RD_KAFKA_RESP_ERR__TRANSPORT:
        case RD_KAFKA_RESP_ERR__RESOLVE:
        case RD_KAFKA_RESP_ERR__TIMED_OUT:
        case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
            return {ErrorKind::unavailable, "kafka_unavailable", "is the cluster running, and `brokers` its address?"};
        default: return {ErrorKind::unavailable, "kafka_error", "see the brokers' log"};
    }
}

bool is_silence(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__TRANSPORT;
}

}  // namespace

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

rd_kafka_t* Client::handle() const { return state_->handle; }
int Client::timeout_ms() const {
    return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(state_->connection.timeout).count());
}

Result<Client> Client::open(Role role, const ConnectionOptions& connection, const Properties& own) {
    return open(role, connection, own, {}, {});
}

Result<Client> Client::open(Role role, const ConnectionOptions& connection, const Properties& own, Delivery delivery) {
    return open(role, connection, own, delivery, {});
}

Result<Client> Client::open(Role role, const ConnectionOptions& connection, const Properties& own, Delivery delivery,
                            Rebalance rebalance) {
    auto state = std::make_unique<State>();
    state->connection = connection;
    state->delivery = delivery;
    state->rebalance = rebalance;
    state->consumer = role == Role::consumer;
    std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)> conf(rd_kafka_conf_new(), rd_kafka_conf_destroy);
    for (const auto& [name, value] : properties_of(connection)) PN_CHECK(set(conf.get(), name, value, {}));
    for (const auto& [name, value] : connection.properties)
        PN_CHECK(set(conf.get(), name, value.value, value.place.text()));
    for (const auto& [name, value] : own) PN_CHECK(set(conf.get(), name, value, {}));
    rd_kafka_conf_set_opaque(conf.get(), state.get());
    rd_kafka_conf_set_log_cb(conf.get(), write_log);
    rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int code, const char* words, void* opaque) {
        auto* self = State::of(opaque);
        std::lock_guard lock(self->mutex);
        // "All brokers down" follows whatever the reason is.
        if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && self->trouble != 0) return;
        self->trouble = static_cast<rd_kafka_resp_err_t>(code);
        self->trouble_words = words;
    });
    if (delivery.callback != nullptr)
        rd_kafka_conf_set_dr_msg_cb(conf.get(),
                                    [](rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque) {
                                        const auto& to = State::of(opaque)->delivery;
                                        to.callback(client, message, to.opaque);
                                    });
    if (rebalance.callback != nullptr)
        rd_kafka_conf_set_rebalance_cb(conf.get(), [](rd_kafka_t* client, rd_kafka_resp_err_t what,
                                                      rd_kafka_topic_partition_list_t* partitions, void* opaque) {
            const auto& to = State::of(opaque)->rebalance;
            to.callback(client, what, partitions, to.opaque);
        });
    Words words{};
    state->handle = rd_kafka_new(role == Role::consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf.get(),
                                 words.data(), words.size());
    if (state->handle == nullptr)
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "kafka_client",
             .message = fmt::format("no client can be made for connection {}: {}", connection.name, words.data()),
             .where = connection.brokers.place.text(),
             .hint = "look at `tls`, `sasl` and `properties` of the connection"});
    (void)conf.release();  // the client's now
    if (role == Role::consumer) rd_kafka_poll_set_consumer(state->handle);
    return Client(std::move(state));
}

Error Client::error(rd_kafka_resp_err_t code, std::string_view doing, std::string_view words) const {
    if (!state_->consumer) rd_kafka_poll(handle(), 0);  // hands out what is known of the brokers
    Words fatal{};
    if (code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__STATE)
        if (auto cause = rd_kafka_fatal_error(handle(), fatal.data(), fatal.size()); cause != 0) {
            code = cause;
            words = fatal.data();
        }
    std::string text(words.empty() ? rd_kafka_err2str(code) : words);
    Judgement judged = judge(code);
    {
        std::lock_guard lock(state_->mutex);
        if (is_silence(code) && state_->trouble != 0) {
            judged = judge(state_->trouble);
            text += ": " + state_->trouble_words;
        }
    }
    return {.kind = judged.kind,
            .code = std::string(judged.code),
            .message = redact(fmt::format("Kafka failed {}: {}", doing, text)),
            .where = fmt::format("connection {} ({})", state_->connection.name, state_->connection.brokers.value),
            .hint = std::string(judged.hint)};
}

Error Client::error(rd_kafka_error_t* error, std::string_view doing) const {
    Error out = this->error(rd_kafka_error_code(error), doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return out;
}

}  // namespace penstock::kafka
