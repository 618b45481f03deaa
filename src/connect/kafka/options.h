#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "config/pipeline.h"
#include "flow/component.h"
#include "transform/debezium/envelope_spec.h"

namespace penstock::kafka {

enum class Format { debezium };
enum class Compression { none, gzip, snappy, lz4, zstd };

/// `target:` of a pipeline that writes to Kafka.
struct TargetOptions : config::TargetOptions, debezium::EnvelopeChoices {
    config::Text topic;
    Format format = Format::debezium;
    bool tombstones = true;
    bool transaction_blocks = false;
    bool position_header = false;
    Compression compression = Compression::lz4;
    bool create_topics = true;
    std::optional<int64_t> partitions;
    std::optional<int64_t> replication;
    std::map<std::string, std::string> topic_config;
    std::string bookkeeping = "penstock";
    std::string transactional_id;
    std::chrono::microseconds transaction_timeout = std::chrono::minutes(15);
    std::optional<config::Bytes> max_message_bytes;
};

const config::Spec<TargetOptions>& target_spec();
std::string_view to_string(Compression compression);

/// Bookkeeping topics of a target: "penstock_checkpoints".
struct BookkeepingTopics {
    std::string checkpoints;  ///< compacted; a record a table, with its newest checkpoint
    std::string rejects;      ///< compacted; a record a reject
    std::string batches;      ///< a record a table and commit
};
BookkeepingTopics bookkeeping_topics(const TargetOptions& options);

}  // namespace penstock::kafka
