#pragma once

#include <memory>

#include "engine/database.h"
#include "flow/scan.h"
#include "transform/steps/query_stage.h"

namespace penstock::steps {

/// A scan's rows after the steps. Each reader has a session of its own, so that as many threads work as pull. Rows left out are
/// told to the context's progress as filtered; rows that a step cannot do go to its rejects.
class SteppedScan : public flow::Scan {
  public:
    SteppedScan(std::unique_ptr<flow::Scan> rows, const QueryStage& steps, engine::Database database,
                flow::ScanContext context)
        : rows_(std::move(rows)), steps_(steps), database_(std::move(database)), context_(context) {}

    const data::Schema& schema() const override { return steps_.after().schema; }
    unsigned max_readers() const override { return rows_->max_readers(); }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return rows_->finish(); }

  private:
    class Reader;
    std::unique_ptr<flow::Scan> rows_;
    const QueryStage& steps_;
    engine::Database database_;
    flow::ScanContext context_;
};

}  // namespace penstock::steps
