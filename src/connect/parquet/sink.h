#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/parquet/publish.h"
#include "connect/parquet/table_load.h"
#include "connect/parquet/write.h"
#include "engine/database.h"
#include "flow/shared_stream.h"
#include "flow/sink.h"

namespace penstock::parquet {

struct SinkOptions {
    Path root;  ///< absolute
    std::string pipeline;
    unsigned threads = 1;
    uint64_t memory_bytes = uint64_t{256} << 20;
    WriteOptions write = {};
    bool events = false;  ///< a stream has one checkpoint over all tables, kept as a table without files
};

/// Parquet files below a folder. DuckDB's threads pull the scan and write the files; publish.h says how they appear at
/// once, table_load.h what each mode stages. Targets are named by their path with time parts open: "orders/dt={yyyy}".
/// Holds the pipeline's lock from begin to the sink's end or abort.
///
/// Where processes share a stream, each stages beside the others and holds the pipeline's lock only to publish, or from the
/// moment it reads a table that it is about to write anew. A lock in its staging folder says that it lives.
class Sink final : public flow::Sink, public flow::SharedSink {
  public:
    explicit Sink(SinkOptions options);
    ~Sink() override;

    Result<std::vector<flow::TablePlan>> plan(const std::vector<flow::TableTarget>& tables,
                                              std::stop_token stop) override;
    std::optional<flow::KeptStream> stream() const override { return stream_; }
    Status begin(const flow::RunIdentity& run) override;
    Result<flow::Counts> load(const flow::TableTarget& target, flow::Scan& scan,
                              const flow::ScanContext& context) override;
    Status keep_stream(const flow::Checkpoint& at) override;
    Status commit(std::span<const flow::TableCommit> tables) override;
    void abort() noexcept override;
    void share() override { shared_ = true; }
    Result<std::optional<flow::Checkpoint>> newest_stream() override;
    Status share_stream(flow::StreamMerge merge) override;

  private:
    Result<flow::TablePlan> plan_table(const flow::TableTarget& target) const;
    Status recover_if_free();
    Status take_lock();
    Status stage_unit(const flow::RunIdentity& run);
    Status catch_up();
    Result<std::vector<Move>> stage_commit(const flow::TableCommit& table, size_t number);
    /// A batch of bookkeeping that adds no file: of rejects without a table, of the stream.
    Result<size_t> stage_bare(const std::string& name);
    Result<std::vector<Move>> stage_stream();
    /// The staged table of a target, or -1.
    int find_staged(const flow::TableTarget& target) const;

    SinkOptions options_;
    FolderLock lock_;
    std::stop_token stop_;
    bool shared_ = false;
    FolderLock living_;        ///< in the unit, where the stream is shared
    flow::StreamMerge merge_;  ///< likewise, of the commit under way
    std::optional<Unit> unit_;
    std::optional<engine::Database> database_;
    std::string run_id_;
    TimePoint created_at_ = now();
    std::vector<StagedTable> staged_;
    std::optional<flow::KeptStream> stream_;
    std::optional<flow::Checkpoint> keeping_;  ///< by the next commit
};

}  // namespace penstock::parquet
