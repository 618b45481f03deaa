#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/capture/change_segment.h"
#include "flow/change.h"
#include "flow/scan.h"

namespace penstock::postgres {

/// The shapes that a table's tuples have had since the stream began; records name theirs by number. Any thread.
class ChangeShapes {
  public:
    uint32_t add(ChangeShape shape) {
        std::lock_guard lock(mutex_);
        shapes_.push_back(std::move(shape));
        return static_cast<uint32_t>(shapes_.size() - 1);
    }
    const ChangeShape& at(uint32_t number) const {
        std::lock_guard lock(mutex_);
        return shapes_[number];
    }

  private:
    mutable std::mutex mutex_;
    std::deque<ChangeShape> shapes_;
};

/// Change::flags of this source.
namespace change_flag {
inline constexpr uint8_t full_old = 1;      ///< the old tuple is the whole row
inline constexpr uint8_t moved_unsent = 2;  ///< the update moved the row to another key and left out values
}  // namespace change_flag

struct ChangePart {
    const ChangeTable& table;
    std::shared_ptr<const ChangeShapes> shapes;
    std::unique_ptr<ChangeRun> run;
    flow::ScanContext context;
    flow::Checkpoint checkpoint;
    /// What committed before is in the table's snapshot already: the consistent point of the slot that exported it.
    uint64_t from = 0;
};

/// One table's changes of a segment, decoded by the column readers that decode its COPY.
class ChangeScan : public flow::Scan {
  public:
    explicit ChangeScan(ChangePart part)
        : part_(std::move(part)), schema_(flow::change::part_schema(part_.table.read.info)) {}

    const data::Schema& schema() const override { return schema_; }
    /// A row that is followed through changes of its key is met in order, by one reader.
    unsigned max_readers() const override;
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return part_.checkpoint; }

  private:
    friend class ChangeReader;
    ChangePart part_;
    data::Schema schema_;
};

/// A table's rows of the snapshot as changes: its scan, with the columns of change::snapshot_schema() behind it.
class SnapshotScan : public flow::Scan {
  public:
    SnapshotScan(const flow::TableInfo& info, std::unique_ptr<flow::Scan> rows, uint64_t position,
                 int64_t taken_at_micros, flow::Checkpoint checkpoint)
        : schema_(flow::change::snapshot_schema(info)),
          rows_(std::move(rows)),
          // A commit may stand at the very point where the snapshot ends: its changes come after these rows.
          position_(flow::change::position_of(position - 1, 0)),
          cleared_at_(flow::change::position_of(position - 2, 0)),
          taken_at_(taken_at_micros),
          checkpoint_(std::move(checkpoint)) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return rows_->max_readers(); }
    /// The rows stand for all that came before: a truncate goes ahead of them, for targets that keep a log of changes and cannot
    /// tell by themselves which rows are gone. Such a target pulls with one reader.
    void clear_first(flow::Progress& progress) { clears_ = &progress; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override {
        PN_TRY([[maybe_unused]] auto of_rows, rows_->finish());
        return checkpoint_;
    }

  private:
    data::Schema schema_;
    std::unique_ptr<flow::Scan> rows_;
    std::string position_;
    std::string cleared_at_;
    int64_t taken_at_;  ///< since 1970
    flow::Checkpoint checkpoint_;
    flow::Progress* clears_ = nullptr;
};

/// No rows: what moves a checkpoint on where nothing has changed.
class NoChanges : public flow::Scan {
  public:
    NoChanges(const flow::TableInfo& info, flow::Checkpoint checkpoint)
        : schema_(flow::change::part_schema(info)), checkpoint_(std::move(checkpoint)) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return checkpoint_; }

  private:
    data::Schema schema_;
    flow::Checkpoint checkpoint_;
};

}  // namespace penstock::postgres
