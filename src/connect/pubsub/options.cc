#include "connect/pubsub/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/spec.h"

namespace penstock::pubsub {
namespace {

std::unexpected<Error> refuse(const config::Place& place, std::string code, std::string message, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = std::move(code),
                 .message = std::move(message),
                 .where = place.text(),
                 .hint = std::move(hint)});
}

Status check_connection(const ConnectionOptions& options, const config::Node&) {
    PN_TRY(auto endpoint, endpoint_of(options.endpoint));
    if (!endpoint.encrypted && !options.credentials.empty())
        return refuse(options.endpoint.place, "credentials_in_the_clear",
                      "credentials are never sent to an endpoint without encryption",
                      "leave `credentials` out for an emulator, or write https://");
    return {};
}

/// Options of tables, which a topic has not.
Status check_without_effect(const config::Node& node) {
    for (const char* name : {"mode", "key", "update_when", "partition_by", "cluster_by", "schema_change", "deletes"}) {
        const auto* given = node.find(name);
        if (given == nullptr) continue;
        return fail(config::problem(*given, "option_without_effect",
                                    fmt::format("`{}` is for tables; a topic gets every change as a message", name),
                                    "leave it out"));
    }
    return {};
}

Status check_target(const TargetOptions& options, const config::Node& node) {
    PN_CHECK(check_without_effect(node));
    if (options.topic_retention && !options.create_topics)
        return refuse(node.place, "option_without_effect", "topic_retention is for topics that Penstock creates",
                      "leave it out, or set create_topics: true");
    auto retention = options.topic_retention.value_or(std::chrono::hours(1));
    if (retention < std::chrono::minutes(10) || retention > std::chrono::hours(24 * 31))
        return refuse(node.place, "bad_retention", "Pub/Sub retains messages from 10 minutes to 31 days",
                      "write topic_retention: 7d");
    if (options.batch_bytes.count > most_request_bytes)
        return refuse(node.place, "batch_too_large", "a publish request holds at most 10 MB", "lower batch_bytes");
    return {};
}

bool holds_table(const std::string& pattern) { return pattern.find("{table}") != pattern.npos; }

}  // namespace

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("pubsub connection", "Google Cloud Pub/Sub, or its emulator.")
            .include(config::connection_spec())
            .required("project", &C::project, "The Google Cloud project that the topics belong to.",
                      {.example = "my-project"})
            .field("endpoint", &C::endpoint,
                   "https:// and the service's host; http:// and host:port of an emulator, without encryption or "
                   "credentials. Order is kept among messages that are published in one region: with ordering, name a "
                   "regional endpoint unless all publishers run in one.",
                   {.example = "https://europe-west1-pubsub.googleapis.com"})
            .field("credentials", &C::credentials, "A service account's key file (JSON).",
                   {.example = "service-account.json",
                    .default_note = "Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, or the "
                                    "metadata server's"})
            .field("timeout", &C::timeout, "How long to wait for the answer to one call.")
            .check(check_connection);
    return made;
}

const config::Spec<TargetOptions>& target_spec() {
    using T = TargetOptions;
    static const auto made =
        config::Spec<T>("pubsub target", "Changes as messages of Pub/Sub topics.")
            .include(config::target_spec())
            .choice("format", &T::format, {{"debezium", Format::debezium, "Debezium's change events as JSON"}},
                    "How changes are written.")
            .field(
                "topic", &T::topic,
                "The topic of a table: {server}, {database}, {schema} and {table} stand for parts of its name. A name "
                "without {table} takes all tables.",
                {.example = "shop.{table}"})
            .field("create_topics", &T::create_topics,
                   "Create topics that are missing. What is published before a subscription exists reaches nobody, "
                   "unless `topic_retention` keeps it.")
            .field("topic_retention", &T::topic_retention,
                   "How long topics that are created keep messages (10m to 31d), so that a later subscription can seek "
                   "back. Costs storage.",
                   {.example = "7d"})
            .choice(
                "ordering", &T::ordering,
                {{"key", Ordering::key, "changes of one row, by its key as JSON; a table without key as a whole"},
                 {"table", Ordering::table, "all changes of a table, at most 1 MB/s"},
                 {"none", Ordering::none, "consumers go by `position` alone; cheapest"}},
                "What keeps its order, by Pub/Sub's ordering keys. Subscriptions must have message ordering enabled.")
            .field("batch_messages", &T::batch_messages, "Messages in a publish request, at most.",
                   {.least = 1, .most = static_cast<double>(most_request_messages)})
            .field("batch_bytes", &T::batch_bytes, "Bytes at which a publish request is sent, at most 10MB.")
            .field("batch_latency", &T::batch_latency, "How long a message waits for company at most.")
            .field("max_requests", &T::max_requests, "Publish requests on their way at once.",
                   {.least = 1, .most = 1000})
            .field("retry_for", &T::retry_for,
                   "How long a publish that failed for the moment is sent again before the run gives up.")
            .include(debezium::envelope_spec())
            .field("transactions", &T::transactions, "Add the `transaction` block (provide.transaction.metadata).")
            .check(check_target);
    return made;
}

PublisherLimits TargetOptions::limits(uint64_t memory_bytes) const {
    PublisherLimits limits;
    limits.request_messages = static_cast<size_t>(batch_messages);
    limits.request_bytes = batch_bytes.count;
    limits.latency = batch_latency;
    limits.requests = static_cast<size_t>(max_requests);
    limits.retry_for = retry_for;
    // A message takes about three times its size: itself, what the library keeps beside it, and what is on the wire.
    limits.held_bytes = std::clamp<size_t>(memory_bytes / 6, size_t{4} << 20, size_t{128} << 20);
    return limits;
}

Result<Endpoint> endpoint_of(const config::Text& url) {
    std::string rest = url.value;
    Endpoint endpoint;
    if (rest.starts_with("http://")) endpoint.encrypted = false;
    auto scheme = rest.find("://");
    bool known = scheme == rest.npos || rest.starts_with("http://") || rest.starts_with("https://");
    if (scheme != rest.npos) rest.erase(0, scheme + 3);
    while (rest.ends_with('/')) rest.pop_back();
    if (scheme == url.value.npos) known = false;
    if (!known || rest.empty() || rest.find_first_of("/?# @") != rest.npos)
        return refuse(url.place, "bad_endpoint", fmt::format("\"{}\" is no endpoint", url.value),
                      "write https://pubsub.googleapis.com, or http://127.0.0.1:8085 for an emulator");
    // [::1]:8085 has its port behind the bracket.
    auto host_end = rest.rfind(']');
    bool has_port = rest.find(':', host_end == rest.npos ? 0 : host_end) != rest.npos;
    endpoint.address = has_port ? rest : rest + (endpoint.encrypted ? ":443" : ":80");
    return endpoint;
}

Result<std::string> topic_of(const ConnectionOptions& connection, const TargetOptions& target,
                             const std::string& server, const flow::TableInfo& table) {
    PN_TRY(auto name, debezium::topic_name(target.topic.value, server, table));
    auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (name.size() < 3 || name.size() > 255 || !letter(name[0]) || name.starts_with("goog"))
        return refuse(
            target.topic.place, "bad_topic",
            fmt::format("\"{}\" cannot be a topic: names have 3 to 255 characters, begin with a letter, and not "
                        "with goog",
                        name),
            "change `topic` or `server`");
    return fmt::format("projects/{}/topics/{}", connection.project.value, name);
}

std::string target_name(const TargetOptions& target, const std::string& topic, const flow::TableInfo& table) {
    return holds_table(target.topic.value) ? topic : fmt::format("{}#{}", topic, table.name);
}

}  // namespace penstock::pubsub
