#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "connect/parquet/objects/object_rows.h"
#include "connect/parquet/objects/selection.h"

namespace penstock::parquet {

/// The objects of one commit. Each reader takes one after the other, and gives its rows out until it has ended.
class ObjectScan : public flow::Scan {
  public:
    /// References outlive the scan; `database` is for Parquet, else null.
    ObjectScan(const Selection& selection, RowsContext rows, engine::Database* database,
               std::vector<io::ObjectInfo> objects, unsigned readers, flow::Checkpoint checkpoint);

    const data::Schema& schema() const override { return rows_.table.info.schema; }
    unsigned max_readers() const override;
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return checkpoint_; }

  private:
    friend class ObjectReader;
    Result<std::unique_ptr<ObjectRows>> open(const io::ObjectInfo& object) const;

    const Selection& selection_;
    RowsContext rows_;
    engine::Database* database_;
    std::vector<io::ObjectInfo> objects_;
    unsigned readers_;
    flow::Checkpoint checkpoint_;
    std::atomic<size_t> next_ = 0;
};

}  // namespace penstock::parquet
