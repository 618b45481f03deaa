#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "flow/scan.h"

namespace penstock::duckdb {

/// Another scan, with the bytes of its rows counted as they go by: what their values take before DuckDB compresses them.
/// What they take in the file is known only after the commit, and of single tables not even then.
class MeasuredScan : public flow::Scan {
  public:
    /// `scan` must outlive this.
    explicit MeasuredScan(flow::Scan& scan) : scan_(scan) {}

    const data::Schema& schema() const override { return scan_.schema(); }
    unsigned max_readers() const override { return scan_.max_readers(); }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return scan_.finish(); }

    /// Of all rows handed out so far.
    int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  private:
    class Reader;
    flow::Scan& scan_;
    std::atomic<int64_t> bytes_ = 0;
};

/// What the values of a block take: fixed widths, the length of texts, nothing for NULL in texts and lists.
int64_t volume_of(const data::Block& block);

}  // namespace penstock::duckdb
