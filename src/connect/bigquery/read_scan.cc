#include "connect/bigquery/read_scan.h"

#include <arrow/record_batch.h>
#include <arrow/util/byte_size.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "data/arrow.h"

namespace penstock::bigquery {

using data::Int128;

// ---------------------------------------------------------------- rows of feeds

size_t RowReader::left_in_batch() const {
    return batch_.batch == nullptr ? 0 : static_cast<size_t>(batch_.batch->num_rows() - at_);
}

Result<bool> RowReader::more() {
    while (left_in_batch() == 0) {
        if (feed_ == nullptr) {
            PN_TRY(feed_, next_feed_());
            if (feed_ == nullptr) return false;
        }
        PN_TRY(auto batch, feed_->next());
        if (batch == nullptr) {
            feed_.reset();
            continue;
        }
        PN_CHECK(take(std::move(batch)));
    }
    return true;
}

Status RowReader::take(std::shared_ptr<arrow::RecordBatch> batch) {
    PN_TRY(batch_, conform(*batch, plan_.columns, plan_.schema));
    sent_ = std::move(batch);
    at_ = 0;
    refused_ = 0;
    plan_.context.progress.bytes_read += arrow::util::TotalBufferSize(*sent_);
    return {};
}

void RowReader::watch(int64_t first, int64_t rows) {
    if (!plan_.cursor.any()) return;
    const auto& column = *batch_.batch->column(plan_.cursor.column);
    for (int64_t row = first; row < first + rows; ++row) {
        last_ = cursor_at(column, row);
        if (last_ && (!largest_ || *last_ > *largest_)) largest_ = last_;
    }
}

Status RowReader::refuse_here() {
    const auto& refused = batch_.refused[refused_++];
    plan_.context.progress.rows_read += 1;
    plan_.context.progress.rows_rejected += 1;
    watch(at_, 1);
    ++at_, ++taken_;
    return plan_.context.rejects.add({.table = plan_.table,
                                      .source_position = plan_.table,
                                      .key = plan_.key.empty() ? "" : row_json(*sent_, refused.row, plan_.key),
                                      .column = plan_.columns[refused.column].name,
                                      .code = refused.code,
                                      .reason = refused.reason,
                                      .payload = row_json(*sent_, refused.row, {}),
                                      .received_at = now()});
}

size_t RowReader::equal_rows(const std::optional<Int128>& value) const {
    if (batch_.batch == nullptr) return 0;
    const auto& column = *batch_.batch->column(plan_.cursor.column);
    size_t count = 0;
    for (int64_t row = at_; row < batch_.batch->num_rows() && cursor_at(column, row) == value; ++row) ++count;
    return count;
}

Status RowReader::fill(data::Block& block, size_t most) {
    PN_FAILPOINT(source_read_during);
    while (true) {
        PN_TRY(bool any, more());
        if (!any || most == 0) return {};
        bool here = refused_ < batch_.refused.size() && batch_.refused[refused_].row == at_;
        if (here) {
            PN_CHECK(refuse_here());
            if (--most == 0) return {};
            continue;
        }
        int64_t end = refused_ < batch_.refused.size() ? batch_.refused[refused_].row : batch_.batch->num_rows();
        size_t rows = std::min({static_cast<size_t>(end - at_), data::block_rows, most});
        PN_CHECK(data::from_arrow(*batch_.batch, static_cast<size_t>(at_), rows, block));
        watch(at_, static_cast<int64_t>(rows));
        at_ += static_cast<int64_t>(rows), taken_ += static_cast<int64_t>(rows);
        plan_.context.progress.rows_read += static_cast<int64_t>(rows);
        return {};
    }
}

// ---------------------------------------------------------------- in parallel

class ReadScan::Reader : public flow::ScanReader {
  public:
    explicit Reader(ReadScan& scan) : scan_(scan), rows_(scan.plan_, [this] { return next_feed(); }) {}

    Status fill(data::Block& block) override {
        // Rows that are refused take their part of a limit, and are not the end.
        while (block.rows == 0) {
            if (scan_.plan_.context.stop.stop_requested())
                return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "reading was stopped"});
            PN_TRY(bool any, rows_.more());
            size_t most = any ? allowance() : 0;
            if (most == 0) return {};
            int64_t before = rows_.taken();
            PN_CHECK(rows_.fill(block, most));
            if (scan_.limited_) scan_.left_ += static_cast<int64_t>(most) - (rows_.taken() - before);
            std::lock_guard lock(scan_.mutex_);
            const auto& largest = rows_.largest();
            if (largest && (!scan_.largest_ || *largest > *scan_.largest_)) scan_.largest_ = largest;
        }
        return {};
    }

  private:
    /// Rows that this reader may take at once; of a limit, what it has taken off.
    size_t allowance() {
        if (!scan_.limited_) return data::block_rows;
        int64_t left = scan_.left_.load();
        int64_t want = std::min<int64_t>(left, data::block_rows);
        while (want > 0 && !scan_.left_.compare_exchange_weak(left, left - want))
            want = std::min<int64_t>(left, data::block_rows);
        return static_cast<size_t>(std::max<int64_t>(want, 0));
    }

    Result<std::unique_ptr<BatchFeed>> next_feed() {
        size_t index = scan_.next_feed_.fetch_add(1);
        if (index >= scan_.feeds_) return nullptr;
        return scan_.open_(index);
    }

    ReadScan& scan_;
    RowReader rows_;
};

ReadScan::ReadScan(RowsPlan plan, size_t feeds, Open open, int64_t limit, Finish finish)
    : plan_(std::move(plan)),
      feeds_(feeds),
      open_(std::move(open)),
      finish_(std::move(finish)),
      left_(limit),
      limited_(limit >= 0) {}

unsigned ReadScan::max_readers() const { return limited_ ? 1 : std::max(1u, static_cast<unsigned>(feeds_)); }

Result<std::unique_ptr<flow::ScanReader>> ReadScan::reader() { return std::make_unique<Reader>(*this); }

Result<flow::Checkpoint> ReadScan::finish() { return finish_(largest_); }

// ---------------------------------------------------------------- in order

OrderedRows::OrderedRows(RowsPlan plan, std::unique_ptr<BatchFeed> feed, int64_t rows)
    : plan_(std::move(plan)), feed_(std::move(feed)), rows_(rows) {
    reader_ =
        std::make_unique<RowReader>(plan_, [this]() -> Result<std::unique_ptr<BatchFeed>> { return std::move(feed_); });
}

Status OrderedRows::fill(data::Block& block) {
    // Rows that are refused are not the batch's end.
    while (block.rows == 0) {
        PN_TRY(bool any, reader_->more());
        if (!any) return {};
        size_t most = std::min(reader_->equal_rows(reader_->last()), data::block_rows);
        if (given_ < rows_) most = static_cast<size_t>(std::min<int64_t>(rows_ - given_, data::block_rows));
        if (most == 0) return {};
        int64_t before = reader_->taken();
        PN_CHECK(reader_->fill(block, most));
        given_ += reader_->taken() - before;
    }
    return {};
}

class BatchScan::Reader : public flow::ScanReader {
  public:
    explicit Reader(BatchScan& scan) : scan_(scan) {}
    Status fill(data::Block& block) override {
        if (scan_.rows_->plan().context.stop.stop_requested())
            return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "reading was stopped"});
        return scan_.rows_->fill(block);
    }

  private:
    BatchScan& scan_;
};

Result<std::unique_ptr<flow::ScanReader>> BatchScan::reader() {
    if (taken_) return fail({.kind = ErrorKind::internal, .code = "one_reader", .message = "a batch has one reader"});
    taken_ = true;
    return std::make_unique<Reader>(*this);
}

}  // namespace penstock::bigquery
