#include "backup/wal_receive.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "backup/wal_block.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "connect/postgres/replication/replication_stream.h"

namespace penstock::backup {
namespace {

using postgres::ReplicationStream;
using postgres::Session;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A quiet server is looked at so often, for a stop and for what has waited long enough.
constexpr auto glance = milliseconds(200);
constexpr auto first_delay = std::chrono::seconds(1), longest_delay = std::chrono::seconds(30);

Result<uint64_t> segment_bytes_of(Session& session) {
    PN_TRY(auto rows, session.query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'"));
    return static_cast<uint64_t>(rows.integer(0, 0));
}

/// One connection to the server, up to its end.
class Receiving {
  public:
    Receiving(const postgres::ConnectionOptions& server, const Catalog& catalog, const WalRequest& request,
              WalReport& report, const std::stop_token& stop)
        : server_(server), catalog_(catalog), request_(request), report_(report), stop_(stop) {}

    /// Good where a drain or a stop ended it.
    Status run() {
        PN_TRY(session_, Session::connect(server_, purpose(), stop_, Session::Channel::replication));
        PN_TRY(identity_, postgres::identify_system(*session_));
        PN_CHECK(open_store());
        PN_TRY(auto index, store_->index());
        for (const auto& piece : index.superfluous) PN_CHECK(store_->remove(piece));
        PN_TRY(auto start, begin(index));
        if (report_.timeline == 0) report_.from = start.stored;
        while (true) {
            auto next = receive_checked(start, index);
            if (!next) return fail(std::move(next.error()));
            if (!*next) return {};
            PN_TRY(start, follow(**next));
        }
    }

  private:
    std::string purpose() const { return "penstock backup wal " + request_.name; }

    Status open_store() {
        PN_TRY(auto segment_bytes, segment_bytes_of(*session_));
        PN_TRY(store_, WalStore::open(catalog_));
        if (!store_) {
            PN_TRY(store_, WalStore::create(catalog_, identity_.system, segment_bytes));
        }
        bool same = store_->system_identifier() == identity_.system && store_->layout().segment_bytes == segment_bytes;
        if (same) return {};
        return fail(
            {.kind = ErrorKind::refused,
             .code = "other_system",
             .message = fmt::format("the log in {} is of system {}, and the server is system {}", catalog_.url("wal/"),
                                    store_->system_identifier(), identity_.system),
             .where = "backups." + request_.name,
             .hint = "point the connection back at that server; if this one replaced it (pg_upgrade, a dump), give its "
                     "backups a `store: path:` of their own"});
    }

    /// The slot, made where it is not there; and where to begin.
    Result<WalStart> begin(const WalIndex& index) {
        PN_TRY(auto slot, postgres::find_slot(*session_, request_.slot));
        if (slot && slot->logical)
            return fail({.kind = ErrorKind::configuration,
                         .code = "slot_logical",
                         .message = fmt::format("slot {} is a logical one: a change stream reads it", request_.slot),
                         .where = "backups." + request_.name,
                         .hint = "name another one: `wal: {slot: …}`"});
        const auto* stored = index.newest();
        bool lost = slot && slot->lost();
        if (lost && stored != nullptr && !request_.accept_gap)
            return fail(wal_gap(request_.name, request_.slot, stored->to, "the server has given up the slot"));
        if (lost) {
            PN_CHECK(postgres::drop_slot(*session_, request_.slot));
            slot.reset();
        }
        std::optional<Lsn> kept = slot ? slot->restart_lsn : std::nullopt;
        if (!slot) {
            PN_TRY(kept, postgres::create_physical_slot(*session_, request_.slot, false));
            PN_FAILPOINT(wal_slot_after);
            made_slot_ = true;
            if (stored != nullptr)
                log::warning("slot {} was gone, and is made again; the log behind {} is asked for without it",
                             request_.slot, stored->to.text());
        }
        if (stored != nullptr && !lost) return resume(*stored, index);
        return begin_anew(index, kept.value_or(identity_.flushed));
    }

    Result<WalStart> resume(const WalStretch& stored, const WalIndex& index) {
        auto start = find_wal_start(stored, store_->layout(), identity_, request_.name);
        if (!start) return fail(forget_slot(std::move(start.error())));
        if (start->timeline != stored.timeline)
            PN_CHECK(enter_timeline(*session_, *store_, index, start->timeline, start->from));
        return start;
    }

    /// A stretch that nothing comes before.
    Result<WalStart> begin_anew(const WalIndex& index, Lsn kept) {
        auto from = store_->layout().segment_start(kept);
        auto timeline = timeline_at(identity_, kept);
        PN_CHECK(enter_timeline(*session_, *store_, index, timeline, from));
        return WalStart{.timeline = timeline, .from = from, .stored = from};
    }

    Result<WalStart> follow(const postgres::NextTimeline& next) {
        PN_TRY(auto index, store_->index());
        auto from = store_->layout().segment_start(next.at);
        PN_CHECK(enter_timeline(*session_, *store_, index, next.timeline, from));
        log::info("the server left its timeline at {}: timeline {} follows", next.at.text(), next.timeline);
        return WalStart{.timeline = next.timeline, .from = from, .stored = from};
    }

    /// A slot that was made in vain would keep log that nobody asks for.
    Error forget_slot(Error error) {
        if (!std::exchange(made_slot_, false)) return error;
        auto dropped = postgres::drop_slot(*session_, request_.slot);
        // A sender says that the log is gone before it lets go of the slot.
        for (int tries = 0; !dropped && dropped.error().code == "slot_active" && tries < 100; ++tries) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            dropped = postgres::drop_slot(*session_, request_.slot);
        }
        if (!dropped) log::warning("slot {} could not be dropped: {}", request_.slot, dropped.error().message);
        return error;
    }

    /// Log that the server has removed is a gap, which may have been accepted.
    Result<std::optional<postgres::NextTimeline>> receive_checked(WalStart start, const WalIndex& index) {
        auto next = receive(start, index);
        if (next || next.error().code != "slot_lost") return next;
        auto stored = start.stored;
        if (!request_.accept_gap || std::exchange(accepted_, true))
            return fail(forget_slot(wal_gap(request_.name, request_.slot, stored, next.error().message)));
        PN_TRY(auto slot, postgres::find_slot(*session_, request_.slot));
        Lsn kept = slot && slot->restart_lsn ? *slot->restart_lsn : identity_.flushed;
        PN_TRY(start, begin_anew(index, kept));
        log::warning("the log from {} to {} is gone: no restore gets to a place in between", stored.text(),
                     start.from.text());
        return receive_checked(start, index);
    }

    /// One timeline, up to its end (the next one), or a drain's or a stop's (nothing).
    Result<std::optional<postgres::NextTimeline>> receive(const WalStart& start, const WalIndex& index) {
        PN_TRY(auto block, WalBlock::open(*store_, start, index));
        PN_TRY(
            auto stream,
            ReplicationStream::start(
                server_, {.slot = request_.slot, .from = start.from, .timeline = start.timeline, .purpose = purpose()},
                stop_));
        ++report_.connections;
        auto streamed = pump(*stream, block, start.timeline);
        if (!streamed) {
            // What has come is worth keeping, whatever became of the connection.
            if (!block.failed())
                if (auto kept = keep(*stream, block); !kept)
                    log::warning("the last of the log could not be stored: {}", kept.error().message);
            note(block, start.timeline);
            return fail(std::move(streamed.error()));
        }
        note(block, start.timeline);
        return streamed;
    }

    void note(const WalBlock& block, uint32_t timeline) {
        report_.timeline = timeline;
        report_.to = std::min(block.stored(), block.received());
        report_.stored_bytes += block.stored_bytes();
        report_.objects += block.objects();
    }

    /// Stores what is pending; only then the server may forget it.
    Status keep(ReplicationStream& stream, WalBlock& block) {
        PN_CHECK(block.flush());
        if (block.received() < block.stored()) return {};
        PN_FAILPOINT(wal_confirm_before);
        stream.confirm(block.stored());
        return {};
    }

    bool drained(const WalBlock& block, uint32_t timeline) const {
        return !request_.follow && timeline == identity_.timeline && block.received() >= identity_.flushed;
    }

    Result<std::optional<postgres::NextTimeline>> pump(ReplicationStream& stream, WalBlock& block, uint32_t timeline) {
        ReplicationStream::Received message;
        while (!stop_.stop_requested() && !drained(block, timeline)) {
            auto got = stream.receive(message, glance);
            if (!got && got.error().kind == ErrorKind::interrupted) break;
            if (!got) return fail(std::move(got.error()));
            if (*got == ReplicationStream::Got::end) {
                PN_CHECK(block.flush());
                return stream.next_timeline();
            }
            if (*got == ReplicationStream::Got::message) PN_CHECK(take(stream, block, message));
            bool due = block.pending() && steady_clock::now() - block.pending_since() >= request_.interval;
            if (stream.was_asked() || due) PN_CHECK(keep(stream, block));
        }
        report_.stopped = stop_.stop_requested();
        PN_CHECK(keep(stream, block));
        PN_CHECK(stream.close());
        return std::optional<postgres::NextTimeline>();
    }

    Status take(ReplicationStream& stream, WalBlock& block, const ReplicationStream::Received& message) {
        if (message.start_lsn != block.received())
            return fail({.kind = ErrorKind::internal,
                         .code = "replication_protocol",
                         .message = fmt::format("the server sent its log from {} on where {} was next",
                                                message.start_lsn.text(), block.received().text())});
        auto before = block.stored();
        PN_CHECK(block.add(message.payload));
        report_.bytes += message.payload.size();
        if (block.stored() == before || block.received() < block.stored()) return {};
        PN_FAILPOINT(wal_confirm_before);
        stream.confirm(block.stored());
        return {};
    }

    const postgres::ConnectionOptions& server_;
    const Catalog& catalog_;
    const WalRequest& request_;
    WalReport& report_;
    const std::stop_token& stop_;
    std::unique_ptr<Session> session_;
    postgres::SystemIdentity identity_;
    std::optional<WalStore> store_;
    bool made_slot_ = false;
    bool accepted_ = false;
};

void wait_for(std::chrono::seconds delay, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, delay, [] { return false; });
}

}  // namespace

Result<WalReport> receive_wal(const postgres::ConnectionOptions& server, const Catalog& catalog,
                              const WalRequest& request, const std::stop_token& stop) {
    WalReport report;
    auto delay = first_delay;
    while (true) {
        auto before = report.bytes;
        auto done = Receiving(server, catalog, request, report, stop).run();
        report.stopped = stop.stop_requested();
        if (done || (report.stopped && done.error().kind == ErrorKind::interrupted)) return report;
        if (!request.follow || done.error().kind != ErrorKind::unavailable) return fail(std::move(done.error()));
        if (report.bytes > before) delay = first_delay;
        log::warning("{}; trying again in {} s", done.error().message, delay.count());
        wait_for(delay, stop);
        delay = std::min<std::chrono::seconds>(delay * 2, longest_delay);
    }
}

}  // namespace penstock::backup
