#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "flow/scan.h"

namespace arrow {
class RecordBatch;
class Schema;
}  // namespace arrow

namespace penstock::flow {

/// Rows that come as Arrow batches, for sources that speak Arrow.
struct ArrowBatches {
    /// The next batch, or null at the end. Called by one thread at a time, not always the same.
    std::function<Result<std::shared_ptr<arrow::RecordBatch>>()> next;
    std::function<Result<Checkpoint>()> finish;
};

class ArrowScan : public Scan {
  public:
    /// `schema` is what data::from_arrow makes of the batches'; a batch of another shape is an error.
    ArrowScan(data::Schema schema, ArrowBatches batches, unsigned max_readers, ScanContext context)
        : schema_(std::move(schema)), batches_(std::move(batches)), max_readers_(max_readers), context_(context) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return max_readers_; }
    Result<std::unique_ptr<ScanReader>> reader() override;
    Result<Checkpoint> finish() override { return batches_.finish(); }

  private:
    class Reader;
    Result<std::shared_ptr<arrow::RecordBatch>> next();

    data::Schema schema_;
    ArrowBatches batches_;
    unsigned max_readers_;
    ScanContext context_;
    std::mutex mutex_;
    std::shared_ptr<arrow::Schema> checked_;
    bool ended_ = false;
};

/// Reads a scan as Arrow batches of up to data::block_rows rows, for sinks that speak Arrow. One thread.
class ArrowReader {
  public:
    /// Takes one of the scan's readers and must not outlive the scan.
    static Result<ArrowReader> open(Scan& scan);
    /// The next rows, or null at the end. The batch owns its memory.
    Result<std::shared_ptr<arrow::RecordBatch>> next();

  private:
    ArrowReader(Scan& scan, std::shared_ptr<arrow::Schema> schema, std::unique_ptr<ScanReader> reader);

    std::shared_ptr<arrow::Schema> schema_;
    std::unique_ptr<ScanReader> reader_;
    std::unique_ptr<data::Block> block_;
};

}  // namespace penstock::flow
