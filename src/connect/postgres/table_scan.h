#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/postgres/ranges.h"
#include "connect/postgres/snapshot.h"
#include "flow/scan.h"

namespace penstock::postgres {

/// Largest cursor value seen by any reader, as it stands on the wire.
class CursorMaximum {
  public:
    explicit CursorMaximum(int64_t from = none) : value_(from) {}
    static constexpr int64_t none = std::numeric_limits<int64_t>::min();

    void raise(int64_t value) {
        int64_t known = value_.load();
        while (value > known && !value_.compare_exchange_weak(known, value)) {
        }
    }
    int64_t value() const { return value_.load(); }

  private:
    std::atomic<int64_t> value_;
};

/// What a table's scan works from.
struct ScanPlan {
    const TableRead& read;
    Snapshot& snapshot;
    flow::ScanContext context;
    std::vector<Range> ranges;
    unsigned parallel = 1;
    std::vector<std::string> key;               ///< columns that name a refused row
    int64_t cursor_from = CursorMaximum::none;  ///< of the last run
    std::function<Result<flow::Checkpoint>(int64_t cursor_maximum)> checkpoint;
};

/// One table's rows, in COPYs by range that readers take from a common list until it is empty.
class TableScan : public flow::Scan {
  public:
    explicit TableScan(ScanPlan plan) : plan_(std::move(plan)), maximum_(plan_.cursor_from) {}

    const data::Schema& schema() const override { return plan_.read.info.schema; }
    unsigned max_readers() const override;
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return plan_.checkpoint(maximum_.value()); }

  private:
    friend class TableReader;
    const Range* take_range();

    ScanPlan plan_;
    CursorMaximum maximum_;
    std::atomic<size_t> next_range_ = 0;
    std::atomic<int> readers_ = 0;
};

}  // namespace penstock::postgres
