#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/duckdb/read_plan.h"
#include "engine/database.h"
#include "flow/component.h"
#include "flow/source.h"

namespace penstock::duckdb {

struct SourceSettings {
    std::filesystem::path file;
    SourceOptions source;
    data::Holds holds;
    engine::Settings engine;
    std::vector<std::string> key;  ///< of the target, to name refused rows
    flow::ReadBounds bounds;
};

/// Tables, views and queries of a DuckDB file, whole or by cursor, all as they were at one moment: one transaction, whose rows are
/// streamed while the query runs. The sink may write to the same file meanwhile, in a session of its own.
class Source : public flow::Source {
  public:
    explicit Source(SourceSettings settings) : settings_(std::move(settings)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t, const flow::Checkpoint&) override { return {}; }

  private:
    Status connect(std::stop_token stop);
    Result<std::string> condition(const TableRead& read, const std::string& last) const;
    Result<std::string> last_of(const flow::TableRead& wanted) const;
    Result<flow::Segment> segment_of(const flow::TableRead& wanted);

    SourceSettings settings_;
    std::optional<engine::Database> database_;
    std::optional<engine::Connection> connection_;
    std::vector<TableRead> reads_;
    std::vector<flow::TableRead> wanted_;
    size_t next_ = 0;
    TimePoint moment_{};
};

/// The rows of one table, in chunks as the query gives them. They are handed out under a lock: what is computed is computed by
/// DuckDB's threads, what is handed out is copied.
class TableScan : public flow::Scan {
  public:
    TableScan(engine::Connection& connection, const TableRead& read, std::string condition, int64_t limit,
              flow::Checkpoint reached, flow::ScanContext context);

    const data::Schema& schema() const override;
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return reached_; }

  private:
    class Reader;

    engine::Connection& connection_;
    const TableRead& read_;
    std::string condition_;
    int64_t limit_;
    flow::Checkpoint reached_;
    flow::ScanContext context_;
};

}  // namespace penstock::duckdb
