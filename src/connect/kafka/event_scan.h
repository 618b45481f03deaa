#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "connect/kafka/event_batch.h"
#include "flow/scan.h"

namespace penstock::kafka {

/// A batch of one topic's events as a part of changes.
struct EventPart {
    std::shared_ptr<const debezium::EventTable> table;
    std::unique_ptr<EventBatch> batch;
    std::string topic;
    bool several_partitions;
    flow::ScanContext context;
    flow::Checkpoint checkpoint;
};

class EventScan : public flow::Scan {
  public:
    explicit EventScan(EventPart part);
    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override;
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return part_.checkpoint; }

  private:
    friend class EventReader;
    EventPart part_;
    data::Schema schema_;
    std::atomic<size_t> next_ = 0;  ///< event to be decoded by whoever comes first
};

}  // namespace penstock::kafka
