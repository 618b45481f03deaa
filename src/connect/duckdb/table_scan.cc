#include <algorithm>

#include "connect/duckdb/source.h"
#include "engine/stream.h"
#include "engine/take.h"

namespace penstock::duckdb {
namespace {

int64_t bytes_of(const data::Block& block) {
    int64_t bytes = 0;
    for (const auto& column : block.columns)
        bytes += static_cast<int64_t>(block.rows * std::max<size_t>(data::width_of(column.layout()), 1));
    return bytes;
}

/// What a query comes upon in the middle of its rows.
Error in_table(Error error, const TableRead& read) {
    if (error.where.empty()) error.where = "table " + read.info.name;
    if (error.hint.empty())
        error.hint =
            "no row of the table was written; read by `query:` and cast the value there, or leave its row out by "
            "`where:`";
    return error;
}

}  // namespace

/// First the rows that are refused, then the others.
class TableScan::Reader : public flow::ScanReader {
  public:
    explicit Reader(TableScan& scan) : scan_(scan) {}

    Status fill(data::Block& block) override {
        if (ended_) return {};
        if (!stream_) {
            if (!scan_.read_.unheld.empty()) PN_CHECK(refuse());
            auto stream = engine::Stream::open(scan_.connection_, scan_.read_.select(scan_.condition_, scan_.limit_));
            if (!stream) return fail(in_table(std::move(stream.error()), scan_.read_));
            stream_.emplace(std::move(*stream));
        }
        auto next = stream_->next();
        if (!next) return fail(in_table(std::move(next.error()), scan_.read_));
        chunk_ = std::move(*next);
        if (chunk_ == nullptr) {
            ended_ = true;
            stream_.reset();
            return {};
        }
        engine::take(chunk_.get(), block);
        scan_.context_.progress.rows_read += static_cast<int64_t>(block.rows);
        scan_.context_.progress.bytes_read += bytes_of(block);
        return {};
    }

  private:
    Status refuse() {
        const auto& read = scan_.read_;
        PN_TRY(auto stream, engine::Stream::open(scan_.connection_, read.refused(scan_.condition_, scan_.limit_)));
        while (true) {
            PN_TRY(auto chunk, stream.next());
            if (chunk == nullptr) return {};
            auto* which =
                static_cast<const int32_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk.get(), 0)));
            auto text = [&](idx_t column, idx_t row) {
                auto* strings = static_cast<duckdb_string_t*>(
                    duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk.get(), column)));
                return std::string(duckdb_string_t_data(&strings[row]), duckdb_string_t_length(strings[row]));
            };
            for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk.get()); ++row) {
                const auto& why = read.unheld[static_cast<size_t>(which[row])];
                ++scan_.context_.progress.rows_read;
                ++scan_.context_.progress.rows_rejected;
                PN_CHECK(scan_.context_.rejects.add({.table = read.info.name,
                                                     .source_position = "",
                                                     .key = text(2, row),
                                                     .column = why.column,
                                                     .code = why.code,
                                                     .reason = why.reason,
                                                     .payload = text(1, row),
                                                     .received_at = now()}));
            }
        }
    }

    TableScan& scan_;
    std::optional<engine::Stream> stream_;
    engine::Chunk chunk_;  ///< whose strings the block's point into
    bool ended_ = false;
};

TableScan::TableScan(engine::Connection& connection, const TableRead& read, std::string condition, int64_t limit,
                     flow::Checkpoint reached, flow::ScanContext context)
    : connection_(connection),
      read_(read),
      condition_(std::move(condition)),
      limit_(limit),
      reached_(std::move(reached)),
      context_(context) {}

const data::Schema& TableScan::schema() const { return read_.info.schema; }

Result<std::unique_ptr<flow::ScanReader>> TableScan::reader() { return std::make_unique<Reader>(*this); }

}  // namespace penstock::duckdb
