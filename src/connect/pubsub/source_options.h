#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "config/pipeline.h"
#include "connect/pubsub/options.h"
#include "connect/pubsub/subscription_stream.h"
#include "transform/payload/format.h"

namespace penstock::pubsub {

/// How messages are fetched.
enum class PullBy { streaming, unary };

/// `source: {connection: events, subscription: backend-events, format: json}`
struct SourceOptions : config::SourceOptions {
    config::Text subscription;
    payload::Format format = payload::Format::json;
    config::FilePath schema;
    config::Text message;
    PullBy pull = PullBy::streaming;
    int64_t max_outstanding_messages = 100'000;
    std::optional<config::Bytes> max_outstanding_bytes;
    int64_t ledger = 100'000;
    std::chrono::microseconds idle = std::chrono::seconds(3);
    std::chrono::microseconds lease = std::chrono::seconds(60);
    std::chrono::microseconds longest_lease = std::chrono::hours(1);
    std::chrono::microseconds retry_for = std::chrono::minutes(10);

    payload::FormatOptions payload() const { return {.format = format, .schema = schema, .message = message}; }
    /// What the stream goes by; `memory_bytes` is what messages may take that were not made durable yet.
    StreamOptions stream(const std::string& subscription_name, uint64_t memory_bytes) const;
};

const config::Spec<SourceOptions>& source_spec();

/// In full: projects/p/subscriptions/backend-events.
Result<std::string> subscription_of(const ConnectionOptions& connection, const SourceOptions& source);

}  // namespace penstock::pubsub
