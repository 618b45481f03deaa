#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/scratch_folder.h"
#include "connect/bigquery/bookkeeping.h"
#include "connect/bigquery/client.h"
#include "connect/bigquery/jobs.h"
#include "connect/bigquery/local_stage.h"
#include "connect/bigquery/publish_sql.h"
#include "connect/bigquery/storage_write.h"
#include "engine/database.h"
#include "flow/reject_view.h"
#include "flow/shared_stream.h"
#include "flow/sink.h"
#include "flow/validation.h"

namespace penstock::bigquery {

struct SinkSettings {
    ConnectionOptions connection;
    Publish publish = Publish::load_job;
    double usd_per_gib_written = 0;
    config::TypePolicies policies;
    std::string pipeline;
    std::shared_ptr<flow::Purse> purse = {};  ///< null where nothing is run or planned
    engine::Settings engine;
    std::optional<flow::RejectView> rejects = {};
};

/// What a load's SQL is made of, before its rows are staged; `run` makes the names of its tables.
Result<StagedLoad> staged_load(const flow::TableTarget& target, const TargetTable& found, const Shape& shape,
                               const config::TypePolicies& policies, const std::string& run);

/// Writes tables of BigQuery.
///   plan    reads checkpoints and shapes; changes nothing
///   load    scan -> Parquet files here -> load jobs -> staging table -> (what is left to write)
///   commit  one query job: one transaction of the rows, rejects, decisions and checkpoints
/// The commit's job has an id made from the pipeline and the numbers of its batches, so that a batch is committed by one job
/// only, whoever asks for it: one whose answer was lost, or that a killed run left running, is found and waited for. So it is
/// where processes share a stream: of two that commit its next batch one makes the job, the other merges into what that has
/// written, and asks for the batch after it.
class Sink : public flow::Sink, public flow::CheckedTarget, public flow::SharedSink {
  public:
    explicit Sink(SinkSettings settings) : settings_(std::move(settings)) {}
    ~Sink() override;

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
    bool asked_after_commit() const override { return true; }
    Status commit(std::span<const flow::TableCommit> tables) override;
    void abort() noexcept override;
    void share() override { shared_ = true; }
    Result<std::optional<flow::Checkpoint>> newest_stream() override;
    Status share_stream(flow::StreamMerge merge) override;
    flow::Spending spent() const override { return jobs_ ? jobs_->spent() : flow::Spending{}; }

  private:
    /// What is known of a target beside what BigQuery says of it.
    struct Known {
        std::optional<flow::BatchRecord> batch;  ///< also of a table that was dropped since
        std::optional<data::Schema> recorded;
        std::set<std::string> once_recorded;
        int64_t schema_version = 0;
    };
    /// A load that waits for its commit.
    struct Waiting {
        std::string target;
        Shape shape;
        int64_t schema_version = 0;
        data::Schema source;
        std::vector<std::string> statements;  ///< of the transaction
    };

    Status connect(std::stop_token stop);
    Status learn(const std::vector<flow::TableTarget>& tables);
    Result<TargetTable> inspect(const flow::TableTarget& target);
    Status open_engine();
    Status reap_leftovers(const std::string& dataset);
    /// Makes or changes the table; whether it was made, and so is empty for sure.
    Result<bool> apply(const flow::TableTarget& target, const TargetTable& found, const Shape& shape);
    std::vector<std::string> fresh() const { return {fresh_.begin(), fresh_.end()}; }
    Status load_files(const StagedFiles& staged, const TableId& into, const std::string& name,
                      Publish by = Publish::load_job);
    Result<int64_t> load_by_jobs(const StagedFiles& staged, const TableId& into, const std::string& name);
    Result<int64_t> load_by_streams(const StagedFiles& staged, const TableId& into);
    Result<int64_t> resolve(const StagedLoad& load, const std::string& statement, const char* counted_where);
    Status divide(const StagedFiles& staged, const TargetTable& found, StagedLoad& load);
    void warn_of_cost(const StagedLoad& load);
    // sink_changes.cc
    Result<flow::Counts> load_changes(const flow::TableTarget& target, flow::Scan& scan,
                                      const flow::ScanContext& context, const TargetTable& found, bool made);
    Result<std::vector<int64_t>> ask_for_rows(const StagedLoad& load, const StagedFiles& keys);
    // sink_commit.cc
    Result<TableId> stage_rejects(std::span<const flow::TableCommit> tables);
    Result<Query> commit_query(std::span<const flow::TableCommit> tables);
    Status commit_alone(std::span<const flow::TableCommit> tables);
    Status commit_shared(std::span<const flow::TableCommit> tables);
    Status catch_up(std::span<const flow::TableCommit> tables);
    Status commit_once(Query query, std::span<const flow::TableCommit> tables);
    Error moved(const std::string& what) const;
    void drop_staging() noexcept;

    SinkSettings settings_;
    std::stop_token stop_;
    flow::RunIdentity run_;
    std::unique_ptr<Client> client_;
    std::optional<Jobs> jobs_;
    std::optional<Bookkeeping> bookkeeping_;
    std::optional<ScratchFolder> folder_;  ///< goes after what is open in it
    std::optional<engine::Database> database_;
    std::optional<engine::Connection> engine_;
    std::optional<LocalStage> stage_;
    std::unique_ptr<StorageWriter> writer_;  ///< once it is needed
    std::map<std::string, Known> known_;
    flow::KeptStream stream_;
    int64_t stream_batch_ = 0;
    std::optional<flow::Checkpoint> stream_kept_;  ///< by the unit under way
    bool shared_ = false;
    bool view_made_ = false;
    flow::StreamMerge merge_;         ///< of the unit under way, where the stream is shared
    std::optional<TableId> rejects_;  ///< of the unit under way, staged
    std::set<std::string> reaped_;
    std::set<std::string> warned_;
    std::set<std::string> fresh_;  ///< names that this run has made
    std::list<Waiting> waiting_;
    std::string validations_;       ///< the statement that adds them
    std::vector<TableId> staging_;  ///< of the unit under way
    int unit_ = 0;                  ///< of work, in this process: names of staging tables and jobs are never used twice
};

}  // namespace penstock::bigquery
