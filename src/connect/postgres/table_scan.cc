#include "connect/postgres/table_scan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/postgres/copy_decoder.h"
#include "connect/postgres/copy_stream.h"
#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

/// A cursor's value as it is on the wire; infinities do not count, or nothing would ever come after them.
int64_t raw_cursor(FieldRef field) {
    switch (field.length) {
        case 2: return load_big_endian<int16_t>(field.data);
        case 4: return static_cast<int32_t>(load_big_endian<uint32_t>(field.data));
        case 8: return static_cast<int64_t>(load_big_endian<uint64_t>(field.data));
        default: return CursorMaximum::none;
    }
}

bool is_infinite(int64_t raw, CursorKind kind) {
    if (kind == CursorKind::date)
        return raw == std::numeric_limits<int32_t>::max() || raw == std::numeric_limits<int32_t>::min();
    bool time = kind == CursorKind::timestamp || kind == CursorKind::timestamptz;
    return time && (raw == std::numeric_limits<int64_t>::max() || raw == std::numeric_limits<int64_t>::min());
}

/// A reader that found no connection left: the others do its share.
class IdleReader : public flow::ScanReader {
  public:
    Status fill(data::Block&) override { return {}; }
};

}  // namespace

/// Takes ranges, copies, decodes. One session, one thread.
class TableReader : public flow::ScanReader {
  public:
    TableReader(TableScan& scan, std::unique_ptr<Session> session)
        : scan_(scan),
          plan_(scan.plan_),
          session_(std::move(session)),
          stream_(*session_, plan_.context.stop),
          decoder_(plan_.read.readers()) {}

    Status fill(data::Block& block) override {
        PN_FAILPOINT(source_read_during);
        // A range may hold no rows, and of a block every row may be refused: neither is the end.
        while (true) {
            stream_.release();
            PN_CHECK(stream_.settle());
            if (range_ == nullptr) {
                range_ = scan_.take_range();
                if (range_ == nullptr) return give_back();
                PN_CHECK(stream_.start(range_->statement));
                decoder_.restart();
            }
            PN_CHECK(split(block));
            PN_CHECK(decode(block));
            if (block.rows != 0) return {};
            block.clear();
        }
    }

  private:
    Status give_back() {
        // Only a session whose COPYs all ended well comes here.
        if (session_) plan_.snapshot.give_back(std::move(session_));
        return {};
    }

    /// Messages into rows until the block is full or the buffer is.
    Status split(data::Block& block) {
        decoder_.begin_block();
        if (decoder_.carries()) PN_CHECK(decoder_.split({}, block));
        while (!decoder_.full()) {
            std::string_view payload;
            PN_TRY(auto got, stream_.next(payload));
            if (got == CopyStream::Got::message) {
                PN_CHECK(decoder_.split(payload, block));
                continue;
            }
            if (got == CopyStream::Got::end) {
                if (!decoder_.ended())
                    return fail({.kind = ErrorKind::data,
                                 .code = "copy_protocol",
                                 .message = "the server ended a COPY in the middle",
                                 .where = range_->shown});
                range_ = nullptr;
            }
            break;
        }
        plan_.context.progress.bytes_read += stream_.bytes() - bytes_told_;
        bytes_told_ = stream_.bytes();
        return {};
    }

    Status decode(data::Block& block) {
        auto rows = static_cast<int64_t>(decoder_.rows());
        plan_.context.progress.rows_read += rows;
        track_cursor();
        decoder_.decode(block, refused_);
        if (refused_.empty()) return {};
        for (const auto& refused : refused_) PN_CHECK(reject(refused));
        decoder_.decode_rest(block, refused_);
        return {};
    }

    void track_cursor() {
        if (plan_.read.cursor < 0 || plan_.read.cursor_kind == CursorKind::decimal) return;
        int64_t most = CursorMaximum::none;
        for (size_t row = 0; row < decoder_.rows(); ++row) {
            FieldRef field = decoder_.raw(row, static_cast<size_t>(plan_.read.cursor));
            if (field.is_null()) continue;
            int64_t value = raw_cursor(field);
            if (value > most && !is_infinite(value, plan_.read.cursor_kind)) most = value;
        }
        scan_.maximum_.raise(most);
    }

    Status reject(const RefusedRow& refused) {
        const auto& fields = plan_.read.info.schema.fields;
        plan_.context.progress.rows_rejected += 1;
        return plan_.context.rejects.add({.table = plan_.read.info.name,
                                          .source_position = range_ != nullptr ? range_->shown : plan_.read.info.name,
                                          .key = object(refused.row, plan_.key),
                                          .column = fields[refused.column].name,
                                          .code = refused.refusal.code,
                                          .reason = refused.refusal.reason,
                                          .payload = object(refused.row, {}),
                                          .received_at = now()});
    }

    /// The row's columns as a JSON object; all of them when `names` is empty, "" when none of the names is there.
    std::string object(size_t row, const std::vector<std::string>& names) const {
        std::string json;
        for (size_t column = 0; column < plan_.read.columns.size(); ++column) {
            const auto& name = plan_.read.columns[column].field.name;
            if (!names.empty() && std::ranges::find(names, name) == names.end()) continue;
            json += json.empty() ? "{" : ",";
            append_json_string(name, json);
            json += ':';
            FieldRef field = decoder_.raw(row, column);
            if (field.is_null()) json += "null";
            else plan_.read.columns[column].reader->render(field, json);
        }
        return json.empty() ? "" : json + "}";
    }

    TableScan& scan_;
    const ScanPlan& plan_;
    std::unique_ptr<Session> session_;
    CopyStream stream_;
    CopyDecoder decoder_;
    const Range* range_ = nullptr;
    int64_t bytes_told_ = 0;
    std::vector<RefusedRow> refused_;
};

unsigned TableScan::max_readers() const {
    return std::max(1u, std::min(plan_.parallel, static_cast<unsigned>(plan_.ranges.size())));
}

const Range* TableScan::take_range() {
    size_t index = next_range_.fetch_add(1);
    return index < plan_.ranges.size() ? &plan_.ranges[index] : nullptr;
}

Result<std::unique_ptr<flow::ScanReader>> TableScan::reader() {
    auto session = plan_.snapshot.borrow();
    if (!session) {
        if (session.error().code != "too_many_connections" || readers_.load() == 0)
            return fail(std::move(session.error()));
        log::warning("{}: no connection left for another reader; going on with {}", plan_.read.info.name,
                     readers_.load());
        return std::make_unique<IdleReader>();
    }
    ++readers_;
    return std::make_unique<TableReader>(*this, std::move(*session));
}

}  // namespace penstock::postgres
