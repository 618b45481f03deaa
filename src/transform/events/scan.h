#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flow/messages.h"
#include "flow/scan.h"
#include "transform/events/event_table.h"
#include "transform/events/value_reader.h"

namespace penstock::events {

/// The messages of a segment with the structure of each.
struct IndexedBatch {
    flow::MessageBatch batch;
    flow::TextStore index_memory;
    std::vector<JsonIndex> indexes;

    uint64_t bytes() const { return batch.bytes() + index_memory.bytes() + indexes.size() * sizeof(JsonIndex); }
    void clear() {
        batch.clear();
        index_memory.clear();
        indexes.clear();
    }
};

/// The events of a segment that go into one table. Readers take runs of them.
class EventScan : public flow::Scan {
  public:
    EventScan(const EventTable& table, std::shared_ptr<const IndexedBatch> batch, std::vector<uint32_t> events,
              flow::ScanContext context, flow::Checkpoint checkpoint);
    const data::Schema& schema() const override { return table_.info.schema; }
    unsigned max_readers() const override;
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return checkpoint_; }

  private:
    friend class EventReader;
    const EventTable& table_;
    std::shared_ptr<const IndexedBatch> batch_;
    std::vector<uint32_t> events_;
    flow::ScanContext context_;
    flow::Checkpoint checkpoint_;
    std::atomic<size_t> next_ = 0;
};

/// What rejects without a table are counted under.
inline constexpr const char* unrouted_table = "unrouted";

/// An event that no table gets.
struct Unrouted {
    uint32_t event;
    Refusal refusal;  ///< an empty code: filtered by `unmatched: ignore`
};

/// What no table gets of a segment: rejects, and no row.
class UnroutedScan : public flow::Scan {
  public:
    UnroutedScan(std::shared_ptr<const IndexedBatch> batch, std::vector<Unrouted> events, flow::ScanContext context,
                 flow::Checkpoint checkpoint);
    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override;
    Result<flow::Checkpoint> finish() override { return checkpoint_; }

  private:
    friend class UnroutedReader;
    data::Schema schema_;
    std::shared_ptr<const IndexedBatch> batch_;
    std::vector<Unrouted> events_;
    flow::ScanContext context_;
    flow::Checkpoint checkpoint_;
};

/// In front of a reject's payload or key that is no text, or begins like this: the rest is its bytes in base64.
inline constexpr std::string_view base64_prefix = "base64:";

/// How a refused event is recorded.
flow::Reject reject_of(const flow::Message& message, const std::string& table, const std::string& route,
                       Refusal refusal);

}  // namespace penstock::events
