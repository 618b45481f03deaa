#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/duckdb/bookkeeping.h"
#include "connect/duckdb/load.h"
#include "connect/duckdb/schema_change.h"
#include "engine/database.h"
#include "flow/reject_view.h"
#include "flow/sink.h"
#include "flow/validation.h"

namespace penstock::duckdb {

struct SinkSettings {
    std::filesystem::path file;
    std::string pipeline;
    engine::Settings engine;
    std::optional<flow::RejectView> rejects = {};
};

/// Writes tables of one DuckDB file. All of a unit of work (DDL, rows, the merge, rejects, decisions, the checkpoint) is one
/// DuckDB transaction; tables built aside and TEMP tables live and die with it.
class Sink : public flow::Sink, public flow::CheckedTarget {
  public:
    explicit Sink(SinkSettings settings) : settings_(std::move(settings)) {}

    /// Opens the file read-only, if it is there, and closes it again.
    Result<std::vector<flow::TablePlan>> plan(const std::vector<flow::TableTarget>& tables,
                                              std::stop_token stop) override;
    std::optional<flow::KeptStream> stream() const override { return stream_; }
    Status begin(const flow::RunIdentity& run) override;
    Result<flow::Counts> load(const flow::TableTarget& target, flow::Scan& scan,
                              const flow::ScanContext& context) override;
    Status keep_stream(const flow::Checkpoint& at) override;
    flow::CheckedTarget* checked() override { return this; }
    Status keep_validations(std::span<const flow::ValidationRecord> records) override;
    Result<std::optional<flow::AskedTable>> asked(const std::string& target) override;
    Result<std::optional<int64_t>> remove(const std::string& target, const std::string& condition) override;
    Status commit(std::span<const flow::TableCommit> tables) override;
    void abort() noexcept override;

  private:
    Status open();
    Status reap_leftovers();
    Status check_unmoved(const flow::TableTarget& target, const TargetTable& found);
    Status apply(const flow::TableTarget& target, const TargetTable& found, const Shape& shape, bool rebuilds);
    Status create_aside(const engine::TableName& aside, const flow::TableTarget& target, const TargetTable& found,
                        const Shape& shape);
    Result<flow::Counts> load_rows(Load& load);
    Status swap(const TargetTable& found, const engine::TableName& aside);
    Error at_file(Error error) const;
    Error moved(const std::string& what) const;

    SinkSettings settings_;
    Bookkeeping bookkeeping_;
    std::stop_token stop_;
    flow::RunIdentity run_;
    std::optional<engine::Database> database_;
    std::optional<engine::Connection> connection_;
    /// What the checkpoint of each target was when this sink last looked or wrote; another writer's moves show against it.
    std::map<std::string, int64_t> known_batches_;
    flow::KeptStream stream_;
    int64_t stream_batch_ = 0;                     ///< known likewise
    std::optional<flow::Checkpoint> stream_kept_;  ///< by the unit under way
};

}  // namespace penstock::duckdb
