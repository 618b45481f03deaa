#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/kafka/bookkeeping.h"
#include "connect/kafka/options.h"
#include "connect/kafka/producer.h"
#include "flow/change.h"
#include "flow/sink.h"

namespace penstock::kafka {

struct SinkSettings {
    ConnectionOptions connection;
    TargetOptions target;
    std::string pipeline;
    std::string server;  ///< resolved
    unsigned threads = 1;
    uint64_t memory_bytes = 0;
};

/// Changes as messages; a unit of work is one Kafka transaction, in which the checkpoint is written as well. The first begin()
/// fences every older run of the pipeline.
class Sink : public flow::Sink {
  public:
    explicit Sink(SinkSettings settings);
    ~Sink() override;

    Result<std::vector<flow::TablePlan>> plan(const std::vector<flow::TableTarget>& tables,
                                              std::stop_token stop) override;
    std::optional<flow::KeptStream> stream() const override { return flow::KeptStream{kept_}; }
    Status begin(const flow::RunIdentity& run) override;
    Result<flow::Counts> load(const flow::TableTarget& target, flow::Scan& scan,
                              const flow::ScanContext& context) override;
    Status keep_stream(const flow::Checkpoint& at) override;
    Status commit(std::span<const flow::TableCommit> tables) override;
    void abort() noexcept override;

  private:
    struct Loading;
    Status open();
    std::vector<std::string> all_topics() const;
    Status prepare_topics(const Client& client);
    Status check_unmoved();
    Status pull(Loading& loading);
    Status write_row(Loading& loading, debezium::Encoder& encoder, const data::Block& block, size_t row,
                     std::vector<debezium::Message>& messages);
    Status write_rejects(const flow::TableCommit& table, int64_t batch);
    debezium::EnvelopeOptions envelope() const;
    int64_t next_batch(const std::string& source, const std::string& target);

    SinkSettings settings_;
    Bookkeeping bookkeeping_;
    std::vector<std::string> topics_;        ///< of the tables
    std::map<std::string, int64_t> limits_;  ///< largest message of a topic
    int64_t reject_limit_ = 0;
    std::optional<Error> refusal_;                    ///< what plan() found that no run can do
    std::vector<flow::BatchRecord> planned_;          ///< what plan() read
    std::optional<flow::Checkpoint> kept_, keeping_;  ///< of the stream: found, and to be committed
    std::map<std::string, int64_t> batches_;          ///< newest number, by source and target
    flow::RunIdentity run_;
    std::stop_token stop_;
    std::unique_ptr<Producer> producer_;
    bool open_transaction_ = false;
};

}  // namespace penstock::kafka
