#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "flow/memory.h"

namespace penstock::flow {
namespace {

using data::Block;
using data::Column;
using data::StringRef;

/// Rows [first, end) of one table, handed out in small pieces to whichever reader asks.
class MemoryScan : public Scan {
  public:
    MemoryScan(const MemoryTable& table, size_t first, size_t end, Checkpoint checkpoint, unsigned readers,
               ScanContext context, MemoryFaults& faults)
        : table_(table),
          next_(first),
          end_(end),
          checkpoint_(std::move(checkpoint)),
          readers_(readers),
          context_(context),
          faults_(faults) {}

    const data::Schema& schema() const override { return table_.info.schema; }
    unsigned max_readers() const override { return readers_; }
    Result<std::unique_ptr<ScanReader>> reader() override;
    Result<Checkpoint> finish() override {
        PN_CHECK(faults_.at("finish"));
        return checkpoint_;
    }

    Status fill(Block& block);

  private:
    static constexpr size_t piece = 7;  // small, so that readers take turns and blocks end anywhere

    Status reject(const MemoryRow& row, size_t position);

    const MemoryTable& table_;
    std::atomic<size_t> next_;
    size_t end_;
    Checkpoint checkpoint_;
    unsigned readers_;
    ScanContext context_;
    MemoryFaults& faults_;
};

class MemoryReader : public ScanReader {
  public:
    explicit MemoryReader(MemoryScan& scan) : scan_(scan) {}
    Status fill(Block& block) override { return scan_.fill(block); }

  private:
    MemoryScan& scan_;
};

void put(Column& column, size_t row, const MemoryValue& value) {
    if (const auto* number = std::get_if<int64_t>(&value)) {
        column.values<int64_t>()[row] = *number;
    } else if (const auto* text = std::get_if<std::string>(&value)) {
        column.values<StringRef>()[row] = StringRef(*text);
    } else {
        column.set_null(row);
    }
}

Result<std::unique_ptr<ScanReader>> MemoryScan::reader() {
    PN_CHECK(faults_.at("reader"));
    return std::make_unique<MemoryReader>(*this);
}

Status MemoryScan::fill(Block& block) {
    PN_CHECK(faults_.at("fill"));
    while (block.rows == 0) {  // a piece of rejects alone is not the end
        size_t first = next_.fetch_add(piece);
        size_t end = std::min(first + piece, end_);
        if (first >= end) return {};
        for (size_t position = first; position < end; ++position) {
            const auto& row = table_.rows[position];
            context_.progress.rows_read += 1;
            context_.progress.bytes_read += 8;
            if (row.unholdable || row.malformed) {
                PN_CHECK(reject(row, position));
                continue;
            }
            for (size_t i = 0; i < row.values.size(); ++i) put(block.columns[i], block.rows, row.values[i]);
            ++block.rows;
        }
    }
    return {};
}

Status MemoryScan::reject(const MemoryRow& row, size_t position) {
    context_.progress.rows_rejected += 1;
    return context_.rejects.add({.table = table_.info.name,
                                 .source_position = fmt::format("{}", position),
                                 .key = "",
                                 .column = table_.info.schema.fields[0].name,
                                 .code = row.malformed ? std::string(malformed_code) : "unholdable",
                                 .reason = "the row is marked so",
                                 .payload = fmt::format("{}", row.values.size())});
}

size_t position_of(const std::optional<Checkpoint>& checkpoint) {
    return checkpoint ? std::stoul(checkpoint->position) : 0;
}

}  // namespace

size_t MemoryDatabase::add_table(TableInfo info) {
    std::scoped_lock lock(mutex_);
    tables_.push_back({.info = std::move(info), .rows = {}});
    return tables_.size() - 1;
}

void MemoryDatabase::append(size_t table, MemoryRow row) {
    std::scoped_lock lock(mutex_);
    tables_[table].rows.push_back(std::move(row));
}

std::vector<MemoryTable> MemoryDatabase::tables() const {
    std::scoped_lock lock(mutex_);
    return tables_;
}

TimePoint MemoryDatabase::tick() {
    std::scoped_lock lock(mutex_);
    return TimePoint(std::chrono::microseconds(++ticks_));
}

Result<std::vector<TableInfo>> MemorySource::discover(std::stop_token) {
    PN_CHECK(faults_.at("discover"));
    std::vector<TableInfo> infos;
    for (auto& table : database_.tables()) infos.push_back(std::move(table.info));
    return infos;
}

Status MemorySource::open(std::vector<TableRead> tables) {
    PN_CHECK(faults_.at("open"));
    snapshot_ = database_.tables();
    for (auto& read : tables) {
        size_t first = options_.ignores_checkpoint ? 0 : position_of(read.from);
        readings_.push_back({.read = std::move(read), .next = first});
    }
    return {};
}

bool MemorySource::has_more(const Reading& reading) const {
    bool everything = options_.ignores_checkpoint || !reading.read.from;
    return reading.next < snapshot_[reading.read.table].rows.size() || (everything && !reading.started);
}

Part MemorySource::make_part(Reading& reading) {
    const auto& table = snapshot_[reading.read.table];
    size_t first = reading.next;
    size_t end = options_.stream ? std::min(first + options_.segment_rows, table.rows.size()) : table.rows.size();
    reading.next = end;
    reading.started = true;
    Checkpoint checkpoint{.cursor_from = fmt::format("{}", first),
                          .cursor_to = fmt::format("{}", end),
                          .position = fmt::format("{}", end),
                          .read_at = database_.tick()};
    auto scan = std::make_unique<MemoryScan>(table, first, end, std::move(checkpoint), options_.readers,
                                             reading.read.context, faults_);
    return {.table = reading.read.table, .scan = std::move(scan), .last = !options_.stream};
}

Result<std::optional<Segment>> MemorySource::next() {
    PN_CHECK(faults_.at("next"));
    Segment segment;
    for (auto& reading : readings_) {
        if (!has_more(reading)) continue;
        segment.parts.push_back(make_part(reading));
        if (!options_.stream) break;
    }
    if (segment.parts.empty()) return std::optional<Segment>();
    return segment;
}

Status MemorySource::confirm(size_t table, const Checkpoint& durable) {
    PN_CHECK(faults_.at("confirm_before"));
    if (database_.on_confirm) database_.on_confirm(snapshot_[table].info.name, durable);
    return faults_.at("confirm_after");
}

}  // namespace penstock::flow
