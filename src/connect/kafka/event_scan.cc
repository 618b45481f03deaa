#include "connect/kafka/event_scan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "flow/change.h"

namespace penstock::kafka {

constexpr size_t run_of_events = 512;

class EventReader : public flow::ScanReader {
  public:
    explicit EventReader(EventScan& scan) : scan_(scan), decoder_(*scan.part_.table) {}

    Status fill(data::Block& block) override {
        const auto& events = scan_.part_.batch->events;
        int64_t bytes = 0;
        while (block.rows + 2 <= data::block_rows) {
            if (at_ == end_) {
                at_ = scan_.next_.fetch_add(run_of_events);
                end_ = std::min(at_ + run_of_events, events.size());
                if (at_ >= events.size()) {
                    at_ = end_ = events.size();
                    break;
                }
            }
            const auto& event = events[at_++];
            bytes += static_cast<int64_t>(event.whole.size() + event.event.key.size());
            PN_CHECK(read(event, block));
        }
        scan_.part_.context.progress.bytes_read += bytes;
        PN_FAILPOINT(source_read_during);
        return {};
    }

  private:
    Status read(const BatchedEvent& event, data::Block& block) {
        size_t before = block.rows;
        debezium::Refusal refusal{.code = "bad_json", .reason = std::string(event.broken)};
        auto outcome = debezium::Decoder::Outcome::refused;
        if (event.broken.empty()) outcome = decoder_.decode(event.event, block, refusal);
        if (outcome == debezium::Decoder::Outcome::nothing) return {};
        if (outcome == debezium::Decoder::Outcome::rows && is_lost_truncate(block, before)) {
            block.rows = before;
            refusal = {.code = "truncate_unordered",
                       .reason =
                           "a truncate in a topic of several partitions has no place among the changes of the others: "
                           "give the topic one partition, or the connector skipped.operations=t"};
            outcome = debezium::Decoder::Outcome::refused;
        }
        auto& progress = scan_.part_.context.progress;
        if (outcome == debezium::Decoder::Outcome::rows) {
            progress.rows_read += static_cast<int64_t>(block.rows - before);
            return {};
        }
        progress.rows_read += 1;
        progress.rows_rejected += 1;
        return scan_.part_.context.rejects.add(
            {.table = scan_.part_.table->info.name,
             .source_position = fmt::format("{}/{}/{}", scan_.part_.topic, event.partition, event.offset),
             .key = std::string(event.event.key),
             .column = std::move(refusal.column),
             .code = std::move(refusal.code),
             .reason = std::move(refusal.reason),
             .payload = std::string(event.event.value.empty() ? event.whole : event.event.value),
             .received_at = now()});
    }

    bool is_lost_truncate(const data::Block& block, size_t row) const {
        if (!scan_.part_.several_partitions || block.rows == row) return false;
        const auto& op = block.columns[scan_.part_.table->columns.size()];
        return op.values<data::StringRef>()[row].view() == "t";
    }

    EventScan& scan_;
    debezium::Decoder decoder_;
    size_t at_ = 0;
    size_t end_ = 0;
};

EventScan::EventScan(EventPart part) : part_(std::move(part)), schema_(flow::change::part_schema(part_.table->info)) {}

unsigned EventScan::max_readers() const {
    return static_cast<unsigned>(std::clamp<size_t>(part_.batch->events.size() / (4 * data::block_rows), 1, 16));
}

Result<std::unique_ptr<flow::ScanReader>> EventScan::reader() { return std::make_unique<EventReader>(*this); }

}  // namespace penstock::kafka
