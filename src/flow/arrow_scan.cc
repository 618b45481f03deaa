#include "flow/arrow_scan.h"

#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <arrow/util/byte_size.h>
#include <fmt/format.h>

#include <algorithm>

#include "data/arrow.h"

namespace penstock::flow {

/// Cuts batches into blocks; keeps the batch a block's strings point into.
class ArrowScan::Reader : public ScanReader {
  public:
    explicit Reader(ArrowScan& scan) : scan_(scan) {}

    Status fill(data::Block& block) override {
        while (batch_ == nullptr || at_ == static_cast<size_t>(batch_->num_rows())) {
            PN_TRY(batch_, scan_.next());
            if (batch_ == nullptr) return {};
            at_ = 0;
        }
        size_t rows = std::min(static_cast<size_t>(batch_->num_rows()) - at_, data::block_rows);
        PN_CHECK(data::from_arrow(*batch_, at_, rows, block));
        at_ += rows;
        scan_.context_.progress.rows_read += static_cast<int64_t>(rows);
        return {};
    }

  private:
    ArrowScan& scan_;
    std::shared_ptr<arrow::RecordBatch> batch_;
    size_t at_ = 0;
};

namespace {

Error stopped() { return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "reading was stopped"}; }

/// Names and types, in order; what else is told of a field may differ.
bool same_shape(const data::Schema& a, const data::Schema& b) {
    return std::ranges::equal(a.fields, b.fields, [](const data::Field& x, const data::Field& y) { return x == y; });
}

Error other_shape(const arrow::Schema& schema) {
    return {.kind = ErrorKind::schema,
            .code = "arrow_shape",
            .message = fmt::format("a batch came with other columns than were announced: {}", schema.ToString())};
}

}  // namespace

Result<std::unique_ptr<ScanReader>> ArrowScan::reader() { return std::make_unique<Reader>(*this); }

Result<std::shared_ptr<arrow::RecordBatch>> ArrowScan::next() {
    std::scoped_lock lock(mutex_);
    if (context_.stop.stop_requested()) return fail(stopped());
    if (ended_) return nullptr;
    PN_TRY(auto batch, batches_.next());
    ended_ = batch == nullptr;
    if (ended_) return batch;
    if (batch->schema() != checked_) {  // batches of one stream share the object
        PN_TRY(auto schema, data::from_arrow(*batch->schema()));
        if (!same_shape(schema, schema_)) return fail(other_shape(*batch->schema()));
        checked_ = batch->schema();
    }
    context_.progress.bytes_read += arrow::util::TotalBufferSize(*batch);
    return batch;
}

ArrowReader::ArrowReader(Scan& scan, std::shared_ptr<arrow::Schema> schema, std::unique_ptr<ScanReader> reader)
    : schema_(std::move(schema)), reader_(std::move(reader)), block_(std::make_unique<data::Block>(scan.schema())) {}

Result<ArrowReader> ArrowReader::open(Scan& scan) {
    PN_TRY(auto schema, data::to_arrow(scan.schema()));
    PN_TRY(auto reader, scan.reader());
    return ArrowReader(scan, std::move(schema), std::move(reader));
}

Result<std::shared_ptr<arrow::RecordBatch>> ArrowReader::next() {
    block_->clear();
    PN_CHECK(reader_->fill(*block_));
    if (block_->rows == 0) return nullptr;
    return data::to_arrow(*block_, schema_);
}

}  // namespace penstock::flow
