#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/bigquery/read_plan.h"
#include "connect/bigquery/read_scan.h"
#include "connect/bigquery/source_options.h"
#include "connect/bigquery/storage_read.h"
#include "flow/component.h"
#include "flow/source.h"

namespace penstock::bigquery {

/// What a source works from; copied out of the configuration.
struct SourceSettings {
    ConnectionOptions connection;
    SourceOptions source;
    config::TypePolicies policies;
    data::Holds holds;
    std::string pipeline;
    std::string run_id;  ///< "" where nothing is run
    unsigned parallel = 1;
    std::vector<std::string> key;  ///< of the target, to name refused rows
    flow::ReadBounds bounds;
    std::optional<TimePoint> as_of;
    std::shared_ptr<flow::Purse> purse;  ///< null where nothing is run or planned
};

/// Tables, views and queries, whole or by cursor, all as they were at one moment:
///
///     discover   descriptions and dry runs
///     open       the moment: BigQuery's clock, or the one that was asked for
///     next       one table: condition from its checkpoint -> streams of Storage Read
///                views, queries, batches: a query job -> streams, or pages of REST, of its result
class Source : public flow::Source {
  public:
    explicit Source(SourceSettings settings) : settings_(std::move(settings)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t table, const flow::Checkpoint& durable) override;
    flow::Spending spent() const override { return jobs_ != nullptr ? jobs_->spent() : flow::Spending{}; }

    /// Whether the source can be read, by what, and if not, what is missing: opens reads and takes no row.
    Result<std::vector<flow::Finding>> examine(std::stop_token stop);

  private:
    /// Where rows come from, however they do.
    struct Feeds {
        size_t count = 0;
        ReadScan::Open open;
    };
    /// One table of the run, from its checkpoint on.
    struct Reading {
        size_t table = 0;
        std::string last;  ///< cursor of the last run
        std::string condition;
        std::optional<flow::Checkpoint> from;
        bool whole = false;
    };

    Status connect(std::stop_token stop);
    Status check_bounds() const;
    Status check_travel() const;
    Result<int64_t> ask_the_time();
    Status check_as_of(const flow::TableRead& wanted, const TableRead& read) const;
    Result<Reading> reading_of(const flow::TableRead& wanted) const;
    Result<std::string> condition(const TableRead& read, const std::string& last) const;
    Result<flow::Segment> segment_of(const flow::TableRead& wanted);
    Result<flow::Segment> batch_segment();
    Result<Feeds> feeds_of(const TableRead& read, const std::string& condition, bool ordered);
    Result<Feeds> storage_feeds(const ReadSessionRequest& request, double usd_per_tib);
    Result<bool> has_storage();
    flow::Checkpoint checkpoint(const Reading& reading, const std::optional<data::Int128>& largest,
                                int64_t batch) const;
    std::string sequence(const TableRead& read) const;
    RowsPlan rows_plan(const TableRead& read, const flow::ScanContext& context) const;
    void warn_of_fallback(const std::string& why);

    SourceSettings settings_;
    std::stop_token stop_;
    std::unique_ptr<Client> client_;
    std::unique_ptr<Jobs> jobs_;
    std::unique_ptr<StorageReader> storage_;
    bool no_storage_ = false;
    std::vector<TableRead> reads_;
    std::vector<flow::TableRead> wanted_;
    size_t next_ = 0;
    int64_t moment_micros_ = 0;
    std::shared_ptr<OrderedRows> ordered_;  ///< of the table whose batches are under way
    Reading in_batches_;
    int64_t batch_ = 0;
};

}  // namespace penstock::bigquery
