#include "transform/events/scan.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "transform/debezium/decode_bytes.h"
#include "transform/events/document_reader.h"

namespace penstock::events {

constexpr size_t run_of_events = 512;

flow::Reject reject_of(const flow::Message& message, const std::string& table, const std::string& route,
                       Refusal refusal) {
    std::string reason = std::move(refusal.reason);
    if (!refusal.path.empty()) reason = fmt::format("{}: {}", refusal.path, reason);
    // A payload that is no text is kept whole, in base64.
    auto text = [](std::string_view bytes) {
        bool as_it_is = simdjson::validate_utf8(bytes.data(), bytes.size()) && !bytes.starts_with(base64_prefix);
        if (as_it_is) return std::string(bytes);
        return std::string(base64_prefix) + debezium::encode_bytes(bytes, debezium::Binaries::base64);
    };
    return {.table = table,
            .route = route,
            .source_position = std::string(message.position),
            .key = text(message.key),
            .column = std::move(refusal.column),
            .code = std::move(refusal.code),
            .reason = std::move(reason),
            .payload = text(message.payload),
            .received_at = TimePoint(std::chrono::microseconds(message.received_micros))};
}

class EventReader : public flow::ScanReader {
  public:
    explicit EventReader(EventScan& scan) : scan_(scan), reader_(scan.table_) {}

    Status fill(data::Block& block) override {
        int64_t bytes = 0, refused = 0;
        Refusal refusal;
        while (block.rows < data::block_rows) {
            if (at_ == end_ && !take_run()) break;
            uint32_t event = scan_.events_[at_++];
            const auto& message = scan_.batch_->batch.messages[event];
            bytes += static_cast<int64_t>(message.payload.size());
            if (reader_.read(message, scan_.batch_->indexes[event], block, refusal)) continue;
            ++refused;
            PN_CHECK(scan_.context_.rejects.add(
                reject_of(message, scan_.table_.info.name, scan_.table_.route, std::exchange(refusal, {}))));
        }
        auto& progress = scan_.context_.progress;
        progress.bytes_read += bytes;
        progress.rows_read += static_cast<int64_t>(block.rows) + refused;
        progress.rows_rejected += refused;
        PN_FAILPOINT(source_read_during);
        return {};
    }

  private:
    bool take_run() {
        at_ = scan_.next_.fetch_add(run_of_events);
        end_ = std::min(at_ + run_of_events, scan_.events_.size());
        if (at_ < scan_.events_.size()) return true;
        at_ = end_ = 0;
        return false;
    }

    EventScan& scan_;
    DocumentReader reader_;
    size_t at_ = 0;
    size_t end_ = 0;
};

EventScan::EventScan(const EventTable& table, std::shared_ptr<const IndexedBatch> batch, std::vector<uint32_t> events,
                     flow::ScanContext context, flow::Checkpoint checkpoint)
    : table_(table),
      batch_(std::move(batch)),
      events_(std::move(events)),
      context_(context),
      checkpoint_(std::move(checkpoint)) {}

unsigned EventScan::max_readers() const {
    return static_cast<unsigned>(std::clamp<size_t>(events_.size() / (4 * data::block_rows), 1, 16));
}

Result<std::unique_ptr<flow::ScanReader>> EventScan::reader() { return std::make_unique<EventReader>(*this); }

class UnroutedReader : public flow::ScanReader {
  public:
    explicit UnroutedReader(UnroutedScan& scan) : scan_(scan) {}

    Status fill(data::Block&) override {
        for (auto& event : scan_.events_) {
            const auto& message = scan_.batch_->batch.messages[event.event];
            auto& progress = scan_.context_.progress;
            progress.rows_read += 1;
            progress.bytes_read += static_cast<int64_t>(message.payload.size());
            if (event.refusal.code.empty()) continue;
            progress.rows_rejected += 1;
            PN_CHECK(scan_.context_.rejects.add(reject_of(message, "", "", event.refusal)));
        }
        scan_.events_.clear();
        return {};
    }

  private:
    UnroutedScan& scan_;
};

UnroutedScan::UnroutedScan(std::shared_ptr<const IndexedBatch> batch, std::vector<Unrouted> events,
                           flow::ScanContext context, flow::Checkpoint checkpoint)
    : batch_(std::move(batch)), events_(std::move(events)), context_(context), checkpoint_(std::move(checkpoint)) {}

Result<std::unique_ptr<flow::ScanReader>> UnroutedScan::reader() { return std::make_unique<UnroutedReader>(*this); }

}  // namespace penstock::events
