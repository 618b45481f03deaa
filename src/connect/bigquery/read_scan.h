#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "connect/bigquery/read_batch.h"
#include "connect/bigquery/read_feed.h"
#include "connect/bigquery/read_increment.h"
#include "flow/scan.h"

namespace penstock::bigquery {

/// What is known of the rows that are read, whoever reads them.
struct RowsPlan {
    std::string table;  ///< for people
    const data::Schema& schema;
    const std::vector<WireColumn>& columns;
    Cursor cursor;
    flow::ScanContext context;
    std::vector<std::string> key;  ///< columns that name a refused row
};

/// Rows of feeds into blocks: conforms, counts, refuses, and watches the cursor. One thread at a time.
class RowReader {
  public:
    /// Gives the next feed, or null when there is none left.
    using NextFeed = std::function<Result<std::unique_ptr<BatchFeed>>()>;

    RowReader(const RowsPlan& plan, NextFeed next_feed) : plan_(plan), next_feed_(std::move(next_feed)) {}

    /// At most `most` rows; 0 at the end.
    Status fill(data::Block& block, size_t most);
    /// Whether a row is left.
    Result<bool> more();
    /// Rows from here on, of the batch at hand, that have this cursor value.
    size_t equal_rows(const std::optional<data::Int128>& value) const;
    /// Of the row handed over last.
    const std::optional<data::Int128>& last() const { return last_; }
    /// Rows so far, refused ones among them.
    int64_t taken() const { return taken_; }
    /// The largest so far.
    const std::optional<data::Int128>& largest() const { return largest_; }

  private:
    size_t left_in_batch() const;
    Status take(std::shared_ptr<arrow::RecordBatch> batch);
    void watch(int64_t first, int64_t rows);
    Status refuse_here();

    const RowsPlan& plan_;
    NextFeed next_feed_;
    std::unique_ptr<BatchFeed> feed_;
    std::shared_ptr<arrow::RecordBatch> sent_;
    ConformedBatch batch_;
    int64_t at_ = 0;
    int64_t taken_ = 0;
    size_t refused_ = 0;
    std::optional<data::Int128> last_, largest_;
};

/// A table's rows in parallel: readers take feeds from a list until it is empty.
class ReadScan : public flow::Scan {
  public:
    using Open = std::function<Result<std::unique_ptr<BatchFeed>>(size_t)>;
    using Finish = std::function<Result<flow::Checkpoint>(const std::optional<data::Int128>& largest)>;

    ReadScan(RowsPlan plan, size_t feeds, Open open, int64_t limit, Finish finish);

    const data::Schema& schema() const override { return plan_.schema; }
    unsigned max_readers() const override;
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override;

  private:
    class Reader;

    RowsPlan plan_;
    size_t feeds_;
    Open open_;
    Finish finish_;
    std::atomic<size_t> next_feed_ = 0;
    std::atomic<int64_t> left_;  ///< of a limit; negative: there is none
    bool limited_;
    std::mutex mutex_;
    std::optional<data::Int128> largest_;
};

/// Rows in the order of the cursor, cut into batches: a batch ends with the first change of the cursor behind its `rows`th
/// row. Shared by the scans of a run's segments.
class OrderedRows {
  public:
    OrderedRows(RowsPlan plan, std::unique_ptr<BatchFeed> feed, int64_t rows);

    const RowsPlan& plan() const { return plan_; }
    Result<bool> more() { return reader_->more(); }
    void begin_batch() { given_ = 0; }
    Status fill(data::Block& block);
    const std::optional<data::Int128>& largest() const { return reader_->largest(); }

  private:
    RowsPlan plan_;
    std::unique_ptr<BatchFeed> feed_;
    int64_t rows_;
    int64_t given_ = 0;
    std::unique_ptr<RowReader> reader_;
};

/// One batch of them.
class BatchScan : public flow::Scan {
  public:
    BatchScan(std::shared_ptr<OrderedRows> rows, ReadScan::Finish finish)
        : rows_(std::move(rows)), finish_(std::move(finish)) {
        rows_->begin_batch();
    }

    const data::Schema& schema() const override { return rows_->plan().schema; }
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return finish_(rows_->largest()); }

  private:
    class Reader;

    std::shared_ptr<OrderedRows> rows_;
    ReadScan::Finish finish_;
    bool taken_ = false;
};

}  // namespace penstock::bigquery
