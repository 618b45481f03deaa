#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "connect/postgres/replication/lsn.h"

namespace penstock::backup {

/// A record of a server's log, as far as a restore is told where to end by it.
struct WalRecord {
    postgres::Lsn start;
    postgres::Lsn end;  ///< where the next one may begin
    uint32_t xid = 0;
    bool ends_transaction = false;  ///< a commit or an abort
    std::optional<TimePoint> at;    ///< of one of these, or of a restore point, by the server's clock
    std::string restore_point;      ///< its name
};

/// Reads the records of one timeline's log out of its bytes (PostgreSQL: access/xlogrecord.h, xlog_internal.h; the same from 15
/// to 18). A record that goes on behind the last byte is not one yet. Holds a page.
class WalRecords {
  public:
    /// The first byte, which begins a page; the first record is the first that begins behind it.
    WalRecords(postgres::Lsn from, uint64_t segment_bytes, std::function<void(const WalRecord&)> take)
        : page_at_(from), segment_bytes_(segment_bytes), take_(std::move(take)) {}

    void add(std::string_view bytes);
    /// No more bytes come.
    void finish() { read_page(); }

  private:
    void read_page();
    bool go_on(size_t& at);
    void complete(postgres::Lsn end);

    postgres::Lsn page_at_;
    uint64_t segment_bytes_;
    std::function<void(const WalRecord&)> take_;
    std::string page_;
    bool inside_ = false;    ///< the log: where records begin is known
    bool over_ = false;      ///< what follows is no log
    postgres::Lsn skip_to_;  ///< the server has ended a segment early
    postgres::Lsn start_;    ///< of the record that is being read
    std::string head_;       ///< its beginning
    uint64_t missing_ = 0;   ///< of its bytes
};

}  // namespace penstock::backup
