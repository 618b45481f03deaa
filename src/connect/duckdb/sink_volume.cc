#include "connect/duckdb/sink_volume.h"

namespace penstock::duckdb {
namespace {

using data::Column;
using data::Layout;

int64_t volume_of_texts(const Column& column, size_t rows) {
    const auto* texts = column.values<data::StringRef>();
    int64_t bytes = 0;
    if (!column.has_nulls()) {
        for (size_t row = 0; row < rows; ++row) bytes += static_cast<int64_t>(texts[row].size());
        return bytes;
    }
    for (size_t row = 0; row < rows; ++row)
        if (column.valid(row)) bytes += static_cast<int64_t>(texts[row].size());
    return bytes;
}

int64_t volume(const Column& column, size_t rows) {
    switch (column.layout()) {
        case Layout::string: return volume_of_texts(column, rows);
        case Layout::list: return volume(column.children().front(), column.children().front().size());
        case Layout::structure: {
            int64_t bytes = 0;
            for (const auto& child : column.children()) bytes += volume(child, rows);
            return bytes;
        }
        default: return static_cast<int64_t>(rows * data::width_of(column.layout()));
    }
}

}  // namespace

class MeasuredScan::Reader : public flow::ScanReader {
  public:
    Reader(std::unique_ptr<flow::ScanReader> reader, std::atomic<int64_t>& bytes)
        : reader_(std::move(reader)), bytes_(bytes) {}

    Status fill(data::Block& block) override {
        PN_CHECK(reader_->fill(block));
        bytes_.fetch_add(volume_of(block), std::memory_order_relaxed);
        return {};
    }

  private:
    std::unique_ptr<flow::ScanReader> reader_;
    std::atomic<int64_t>& bytes_;
};

Result<std::unique_ptr<flow::ScanReader>> MeasuredScan::reader() {
    PN_TRY(auto reader, scan_.reader());
    return std::make_unique<Reader>(std::move(reader), bytes_);
}

int64_t volume_of(const data::Block& block) {
    int64_t bytes = 0;
    for (const auto& column : block.columns) bytes += volume(column, block.rows);
    return bytes;
}

}  // namespace penstock::duckdb
