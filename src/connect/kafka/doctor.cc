#include "connect/kafka/doctor.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "connect/kafka/client.h"
#include "connect/kafka/topics.h"

namespace penstock::kafka {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

using Metadata = std::unique_ptr<const rd_kafka_metadata_t, decltype(&rd_kafka_metadata_destroy)>;

Finding encryption(const ConnectionOptions& options) {
    bool secret = options.tls.has_value();
    if (secret && options.tls->verify != TlsVerify::none)
        return {.what = "encryption", .detail = "TLS, certificates checked"};
    if (secret)
        return {.severity = Severity::warning,
                .what = "encryption",
                .detail = "TLS, but the brokers' certificates are not checked",
                .fix = "set `tls.verify: full`, and `tls.ca` where the authority is your own"};
    bool local = options.brokers.value.starts_with("127.0.0.1") || options.brokers.value.starts_with("localhost");
    if (local) return {.what = "encryption", .detail = "none, on this machine"};
    return {.severity = Severity::warning,
            .what = "encryption",
            .detail = options.sasl ? "none: rows and, with PLAIN, the password can be read on the way" : "none",
            .fix = "add `tls: {}` to the connection"};
}

Finding brokers(const rd_kafka_metadata_t& metadata, const ConnectionOptions& options) {
    int topics = 0;
    for (int i = 0; i < metadata.topic_cnt; ++i)
        topics += std::string_view(metadata.topics[i].topic).starts_with("__") ? 0 : 1;
    Finding finding{.what = "brokers", .detail = fmt::format("{} answer, with {} topics", metadata.broker_cnt, topics)};
    if (metadata.broker_cnt == 1 && options.brokers.value.find(',') != std::string::npos)
        finding.severity = Severity::warning, finding.fix = "one broker of several answers: look at the others";
    return finding;
}

/// A partition without leader takes nothing.
Finding partitions(const rd_kafka_metadata_t& metadata) {
    int leaderless = 0, lagging = 0, all = 0;
    for (int i = 0; i < metadata.topic_cnt; ++i)
        for (int p = 0; p < metadata.topics[i].partition_cnt; ++p) {
            const auto& partition = metadata.topics[i].partitions[p];
            ++all;
            leaderless += partition.leader < 0 ? 1 : 0;
            lagging += partition.isr_cnt < partition.replica_cnt ? 1 : 0;
        }
    if (leaderless != 0)
        return {.severity = Severity::problem,
                .what = "partitions",
                .detail = fmt::format("{} of {} have no leader", leaderless, all),
                .fix = "bring their brokers back"};
    if (lagging != 0)
        return {.severity = Severity::warning,
                .what = "partitions",
                .detail = fmt::format("{} of {} have fewer copies in sync than they should", lagging, all),
                .fix = "look at the brokers that are behind"};
    return {.what = "partitions", .detail = fmt::format("{}, all with leader and copies in sync", all)};
}

Finding library() { return {.what = "librdkafka", .detail = rd_kafka_version_str()}; }

}  // namespace

Result<std::vector<Finding>> doctor(const config::Node& connection, const std::filesystem::path&, std::stop_token) {
    PN_TRY(auto options, parse_connection(connection, ""));
    PN_TRY(auto client, Client::open(Role::producer, options, {}));
    std::vector<Finding> findings = {library()};
    const rd_kafka_metadata_t* raw = nullptr;
    if (auto code = rd_kafka_metadata(client.handle(), 1, nullptr, &raw, client.timeout_ms()); code != 0) {
        Error error = client.error(code, "asking for brokers");
        findings.push_back(
            {.severity = Severity::problem, .what = "brokers", .detail = error.message, .fix = error.hint});
        return findings;
    }
    Metadata metadata(raw, rd_kafka_metadata_destroy);
    findings.push_back(brokers(*raw, options));
    findings.push_back(partitions(*raw));
    findings.push_back(encryption(options));
    return findings;
}

}  // namespace penstock::kafka
