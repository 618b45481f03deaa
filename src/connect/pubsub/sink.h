#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "connect/pubsub/client.h"
#include "connect/pubsub/envelope_message.h"
#include "connect/pubsub/options.h"
#include "connect/pubsub/publisher.h"
#include "flow/sink.h"
#include "state/target_ledger.h"

namespace penstock::pubsub {

struct SinkSettings {
    ConnectionOptions connection;
    TargetOptions target;
    debezium::EnvelopeOptions envelope;
    std::string pipeline;
    std::string state_url;
    std::filesystem::path state_directory;
    std::string connection_name;
    uint64_t memory_bytes = 0;
};

/// Publishes the changes of tables. A topic has neither transactions nor anything to read back, so a commit is two steps:
///
///     1. every message of the segment is acknowledged by the service
///     2. the checkpoint is durable in the state store
///
/// What is killed between publishing and 2 is published again by the next run, each message with the `penstock_id` and the
/// `position` it had: at least once. Nothing of a table is published before all that its checkpoint covers.
class Sink : public flow::Sink {
  public:
    explicit Sink(SinkSettings settings);

    Result<std::vector<flow::TablePlan>> plan(const std::vector<flow::TableTarget>& tables,
                                              std::stop_token stop) override;
    std::optional<flow::KeptStream> stream() const override { return stream_; }
    Status begin(const flow::RunIdentity& run) override;
    Result<flow::Counts> load(const flow::TableTarget& target, flow::Scan& scan,
                              const flow::ScanContext& context) override;
    Status keep_stream(const flow::Checkpoint& at) override;
    Status commit(std::span<const flow::TableCommit> tables) override;
    void abort() noexcept override;

  private:
    Status connect();
    Result<flow::TablePlan> plan_of(const flow::TableTarget& target);
    Status look_at_topic(const std::string& topic, flow::TablePlan& plan);

    SinkSettings settings_;
    state::TargetLedger ledger_;
    std::stop_token stop_;
    flow::RunIdentity run_;
    flow::KeptStream stream_;
    std::optional<flow::Checkpoint> next_stream_;  ///< what the commit under way keeps
    std::unique_ptr<Client> client_;
    std::unique_ptr<Publisher> publisher_;  // after the client: it goes first
    std::set<std::string> to_create_;
    std::optional<Error> refusal_;  ///< of a topic that is missing
    std::set<std::string> looked_at_;
};

}  // namespace penstock::pubsub
