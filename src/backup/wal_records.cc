#include "backup/wal_records.h"

#include <algorithm>
#include <cstring>

#include "connect/postgres/wire.h"

namespace penstock::backup {
namespace {

using postgres::Lsn;

constexpr size_t page_bytes = 8192;  // XLOG_BLCKSZ of every build that is distributed
constexpr size_t short_header = 24, long_header = 40;
constexpr uint16_t begins_inside_record = 1, has_long_header = 2;  // xlp_info
constexpr size_t record_header = 24;
constexpr size_t most_head = 512;  // what tells a commit or a restore point apart stands at its beginning

constexpr uint8_t rm_xlog = 0, rm_xact = 1;
constexpr uint8_t xlog_switch = 0x40, xlog_restore_point = 0x70;
constexpr uint8_t xact_commit = 0x00, xact_abort = 0x20, xact_commit_prepared = 0x30, xact_abort_prepared = 0x40;

template <class T>
T little(std::string_view from, size_t at) {
    T value;
    std::memcpy(&value, from.data() + at, sizeof value);
    return value;
}

size_t aligned(size_t at) { return (at + 7) & ~size_t{7}; }

/// A record's own data, where no block's stands before it (XLogRecordAssemble).
std::string_view main_data(std::string_view record) {
    size_t at = record_header;
    while (at + 2 <= record.size()) {
        auto id = static_cast<uint8_t>(record[at]);
        if (id == 253) at += 3;       // the origin of a replicated transaction
        else if (id == 252) at += 5;  // of a subtransaction, the transaction
        else if (id == 255) return record.substr(std::min(at + 2, record.size()));
        else if (id == 254) return record.substr(std::min(at + 5, record.size()));
        else break;
    }
    return {};
}

/// TimestampTz: microseconds since 2000.
std::optional<TimePoint> time_in(std::string_view data) {
    if (data.size() < 8) return std::nullopt;
    return TimePoint(std::chrono::microseconds(little<int64_t>(data, 0) + postgres::epoch_micros));
}

}  // namespace

void WalRecords::add(std::string_view bytes) {
    while (!bytes.empty()) {
        auto piece = bytes.substr(0, page_bytes - page_.size());
        page_ += piece;
        bytes.remove_prefix(piece.size());
        if (page_.size() < page_bytes) return;
        read_page();
        page_at_ = page_at_ + page_bytes;
        page_.clear();
    }
}

/// What of the record before stands on this page; false where all of the page is that.
bool WalRecords::go_on(size_t& at) {
    bool continued = (little<uint16_t>(page_, 2) & begins_inside_record) != 0;
    uint64_t rest = little<uint32_t>(page_, 16);
    if (!inside_ && continued) {
        at += aligned(rest);
        inside_ = at < page_.size();
        return inside_;
    }
    inside_ = true;
    if (!continued) missing_ = 0;  // a server that was killed in the middle of a record begins another in its place
    if (missing_ == 0) return true;
    auto piece = std::min<uint64_t>(missing_, page_.size() - at);
    if (head_.size() < most_head) head_ += page_.substr(at, std::min(piece, most_head - head_.size()));
    missing_ -= piece;
    at += piece;
    if (missing_ > 0) return false;
    at = aligned(at);
    complete(page_at_ + at);
    return true;
}

void WalRecords::read_page() {
    if (over_ || page_.size() < long_header || page_at_ < skip_to_) return;
    if (little<uint16_t>(page_, 0) == 0 || little<uint64_t>(page_, 8) != page_at_) {
        over_ = inside_;  // zeros behind the end
        return;
    }
    size_t at = (little<uint16_t>(page_, 2) & has_long_header) != 0 ? long_header : short_header;
    if (!go_on(at)) return;
    while (skip_to_ <= page_at_ + at && at + 4 <= page_.size()) {
        uint64_t size = little<uint32_t>(page_, at);
        if (size < record_header) {
            over_ = true;
            return;
        }
        start_ = page_at_ + at;
        auto piece = std::min<uint64_t>(size, page_.size() - at);
        head_ = page_.substr(at, std::min(piece, most_head));
        missing_ = size - piece;
        if (missing_ > 0) return;
        at = aligned(at + size);
        complete(page_at_ + at);
    }
}

void WalRecords::complete(Lsn end) {
    if (head_.size() < record_header) return;
    WalRecord record{.start = start_, .end = end, .xid = little<uint32_t>(head_, 4), .at = {}, .restore_point = {}};
    auto info = static_cast<uint8_t>(head_[16]), manager = static_cast<uint8_t>(head_[17]);
    auto data = main_data(head_);
    if (manager == rm_xlog && (info & 0xf0) == xlog_switch) {
        skip_to_ = start_.value - start_.value % segment_bytes_ + segment_bytes_;
    } else if (manager == rm_xlog && (info & 0xf0) == xlog_restore_point && data.size() > 8) {
        record.at = time_in(data);
        record.restore_point = data.substr(8, 64).substr(0, data.substr(8, 64).find('\0'));
    } else if (manager == rm_xact) {
        auto kind = static_cast<uint8_t>(info & 0x70);
        record.ends_transaction =
            kind == xact_commit || kind == xact_abort || kind == xact_commit_prepared || kind == xact_abort_prepared;
        if (record.ends_transaction) record.at = time_in(data);
    }
    take_(record);
}

}  // namespace penstock::backup
