#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "config/pipeline.h"
#include "connect/pubsub/publisher.h"
#include "flow/source.h"
#include "transform/debezium/envelope_spec.h"

namespace penstock::pubsub {

/// `connections: {events: {type: pubsub, …}}`
struct ConnectionOptions : config::ConnectionOptions {
    config::Text project;
    config::Text endpoint{.value = "https://pubsub.googleapis.com"};
    config::FilePath credentials;
    std::chrono::microseconds timeout = std::chrono::seconds(60);
};

/// Where a connection's calls go.
struct Endpoint {
    std::string address;  ///< host:port
    bool encrypted = true;
};

enum class Format { debezium };

/// Which messages keep their order.
enum class Ordering { key, table, none };

struct TargetOptions : config::TargetOptions, debezium::EnvelopeChoices {
    Format format = Format::debezium;
    config::Text topic{.value = "{server}.{schema}.{table}"};
    bool transactions = false;
    bool create_topics = false;
    std::optional<std::chrono::microseconds> topic_retention;
    Ordering ordering = Ordering::key;
    int64_t batch_messages = static_cast<int64_t>(most_request_messages);
    config::Bytes batch_bytes{size_t{1} << 20};
    std::chrono::microseconds batch_latency = std::chrono::milliseconds(10);
    int64_t max_requests = 200;
    std::chrono::microseconds retry_for = std::chrono::minutes(10);

    /// What of it the publisher goes by; `memory_bytes` is what messages may take until they are acknowledged.
    PublisherLimits limits(uint64_t memory_bytes) const;
};

const config::Spec<ConnectionOptions>& connection_spec();
const config::Spec<TargetOptions>& target_spec();

Result<Endpoint> endpoint_of(const config::Text& url);

/// The topic of a table, in full: projects/p/topics/shop.public.orders.
Result<std::string> topic_of(const ConnectionOptions& connection, const TargetOptions& target,
                             const std::string& server, const flow::TableInfo& table);

/// Its name as a target: the topic, and where that takes several tables the table with it.
std::string target_name(const TargetOptions& target, const std::string& topic, const flow::TableInfo& table);

}  // namespace penstock::pubsub
