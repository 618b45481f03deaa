#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/http_api/cursor.h"
#include "connect/http_api/feed.h"
#include "flow/scan.h"
#include "transform/events/event_table.h"

namespace penstock::http_api {

/// What a scan does with records.
struct RecordPlan {
    const events::EventTable& table;
    const Cursor& cursor;
    flow::ScanContext context;
    std::vector<std::string> key = {};  ///< fields by which rejects are named
    /// Records outside are left out, and not counted: the API was asked for others.
    std::optional<data::Int128> least = {}, most = {};
    int64_t limit = -1;
    /// From which value on the API was asked; older ones are taken as well, and said.
    std::optional<data::Int128> asked = {};
};

/// The records of a feed, decoded where they stand. One reader.
class RecordScan : public flow::Scan {
  public:
    /// `finish` makes the checkpoint of the largest cursor value.
    using Finish = std::function<flow::Checkpoint(const std::optional<data::Int128>& largest)>;

    RecordScan(RecordPlan plan, std::unique_ptr<Feed> feed, Finish finish)
        : plan_(std::move(plan)), feed_(std::move(feed)), finish_(std::move(finish)) {}
    const data::Schema& schema() const override { return plan_.table.info.schema; }
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return finish_(largest_); }

  private:
    friend class RecordReader;
    RecordPlan plan_;
    std::unique_ptr<Feed> feed_;
    Finish finish_;
    std::optional<data::Int128> largest_;
    bool taken_ = false;
};

}  // namespace penstock::http_api
