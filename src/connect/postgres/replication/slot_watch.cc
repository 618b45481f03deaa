#include "connect/postgres/replication/slot_watch.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <condition_variable>
#include <functional>

#include "base/humane.h"
#include "base/log.h"
#include "connect/postgres/replication/slot_outlook.h"

namespace penstock::postgres {
namespace {

using std::chrono::duration;

/// The same warning again.
constexpr auto between_warnings = std::chrono::minutes(5);
/// Room for less than this at the present pace is little, however many bytes it is.
constexpr duration<double> short_time = std::chrono::minutes(10);
/// The pace is measured over at least this long.
constexpr auto pace_time = std::chrono::seconds(10);

}  // namespace

SlotWatch::SlotWatch(SlotWatchOptions options)
    : options_(std::move(options)), thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

SlotWatch::~SlotWatch() {
    thread_.request_stop();
    thread_.join();
}

void SlotWatch::run(std::stop_token stop) {
    // A server that has gone silent must not hold up the run's end.
    std::stop_callback cut(stop, [this] {
        std::lock_guard lock(session_mutex_);
        if (session_) ::shutdown(PQsocket(session_->raw()), SHUT_RDWR);
    });
    std::mutex mutex;
    std::condition_variable_any wake;
    auto next = Clock::now() + options_.first_look;
    while (true) {
        std::unique_lock lock(mutex);
        wake.wait_until(lock, stop, next, [] { return false; });
        if (stop.stop_requested()) return;
        if (auto worked = work(stop); !worked) {
            if (stop.stop_requested()) return;
            warn(worked.error().code,
                 fmt::format("slot {} cannot be looked after: {}", options_.slot, worked.error().message));
            std::lock_guard session_lock(session_mutex_);
            session_.reset();
        }
        auto interval = options_.between_looks;
        if (options_.beat) interval = std::min(interval, duration_cast<std::chrono::milliseconds>(*options_.beat));
        next = Clock::now() + std::max(interval, std::chrono::milliseconds(100));
    }
}

Status SlotWatch::work(const std::stop_token& stop) {
    if (!session_) {
        PN_TRY(auto session, Session::connect(options_.connection, options_.purpose, stop));
        std::lock_guard lock(session_mutex_);
        session_ = std::move(session);
    }
    // A hair early is on time: looks and beats may have the same interval.
    auto due = [](Clock::time_point last, auto interval) {
        return last == Clock::time_point() || Clock::now() - last >= interval * 9 / 10;
    };
    if (due(looked_at_, options_.between_looks)) PN_CHECK(look());
    if (options_.beat && due(beaten_at_, *options_.beat)) {
        beaten_at_ = Clock::now();
        PN_CHECK(beat());
    }
    return {};
}

Status SlotWatch::look() {
    PN_TRY(auto slot, find_slot(*session_, options_.slot));
    looked_at_ = Clock::now();
    if (!slot) return {};  // the stream says so itself
    if (auto concern = slot_concern(*slot, options_.pipeline))
        warn(concern->what.substr(0, 12), fmt::format("slot {}: {}; {}", slot->name, concern->what, concern->fix));
    judge_room(*slot);
    return let_go(*slot);
}

void SlotWatch::judge_room(const SlotState& slot) {
    if (!slot.safe_wal_size) {
        hurried_ = false;
        return;
    }
    if (!before_ || looked_at_ - before_at_ >= pace_time) {
        falls_ = before_ ? static_cast<double>(*before_ - *slot.safe_wal_size) /
                               duration<double>(looked_at_ - before_at_).count()
                         : 0;
        before_ = slot.safe_wal_size;
        before_at_ = looked_at_;
    }
    auto room = static_cast<uint64_t>(std::max<int64_t>(*slot.safe_wal_size, 0));
    duration<double> left(falls_ > 0 ? static_cast<double>(room) / falls_ : 1e9);
    hurried_ = room < options_.low_room;
    if (!hurried_ && left > short_time) return;
    warn("low_room",
         fmt::format("slot {}: the server may write {} more before it gives up what this run has not read{}{}",
                     slot.name, humane_bytes(room),
                     left < short_time ? fmt::format(", in {} at the present pace", humane_duration(left)) : "",
                     hurried_ ? "; changes are committed in small segments now" : ""));
}

/// Confirming moves the slot only to a place where the server has written down which transactions were open, and of those
/// to the one before (snapbuild.c, SnapBuildProcessRunningXacts). It does so every 15 seconds: a server that is busy with other
/// tables keeps what it writes in 30. So it is asked to do so more often.
Status SlotWatch::let_go(const SlotState& slot) {
    auto kept = slot.restart_lsn.value_or(0), confirmed = slot.confirmed_flush_lsn.value_or(0);
    if (options_.most_kept == 0 || confirmed < kept + options_.most_kept || looked_at_ < mark_at_) return {};
    // A transaction that stays open holds it, and no mark helps.
    marks_in_vain_ = kept == marked_ ? std::min(marks_in_vain_ + 1, 7) : 0;
    marked_ = kept;
    mark_at_ = looked_at_ + options_.between_looks * ((1 << marks_in_vain_) - 1);
    return mark();
}

Status SlotWatch::mark() {
    PN_TRY(
        auto rows,
        session_->query(fmt::format(
            "SELECT pg_catalog.pg_is_in_recovery(), {}, (SELECT count(*) FROM pg_catalog.pg_replication_slots) + 1 < "
            "pg_catalog.current_setting('max_replication_slots')::int",
            session_->server_version() >= 160000
                ? "pg_catalog.has_function_privilege('pg_catalog.pg_log_standby_snapshot()', 'EXECUTE')"
                : "false")));
    bool standby = rows.truth(0, 0), allowed = rows.truth(0, 1), slots = rows.truth(0, 2);
    if (standby || (!allowed && !slots)) return {};
    // The making of a slot begins with such a mark; its end is of no interest, nor that it may take too long.
    auto name = quote_literal(fmt::format("penstock_mark_{}", PQbackendPID(session_->raw())));
    auto done = in_time(
        allowed ? std::string("SELECT pg_catalog.pg_log_standby_snapshot()")
                : fmt::format("SELECT pg_catalog.pg_create_logical_replication_slot({}, 'pgoutput', true)", name));
    if (done && !allowed) done = session_->execute(fmt::format("SELECT pg_catalog.pg_drop_replication_slot({})", name));
    if (!done && PQstatus(session_->raw()) != CONNECTION_OK) return done;
    if (!done) log::debug("slot {}: no mark could be made: {}", options_.slot, done.error().message);
    return {};
}

Status SlotWatch::beat() {
    auto slot = quote_literal(options_.slot);
    auto done =
        in_time(options_.beat_table.empty()
                    ? fmt::format("SELECT pg_catalog.pg_logical_emit_message(true, 'penstock', {})", slot)
                    : fmt::format("INSERT INTO {} AS beats (slot, beat_at) VALUES ({}, pg_catalog.now()) ON CONFLICT "
                                  "(slot) DO UPDATE SET beat_at = excluded.beat_at",
                                  options_.beat_table, slot));
    if (!done && PQstatus(session_->raw()) != CONNECTION_OK) return done;
    if (!done)
        warn("heartbeat", fmt::format("the heartbeat of slot {} failed: {}; `heartbeat_table:` names a table to write "
                                      "instead of a message",
                                      options_.slot, done.error().message));
    return {};
}

/// Whatever is in the way is not waited for: there is a next time.
Status SlotWatch::in_time(const std::string& sql) {
    PN_CHECK(session_->execute("BEGIN READ WRITE"));
    auto done = session_->execute("SET LOCAL lock_timeout = '1s'");
    if (done) done = session_->execute("SET LOCAL statement_timeout = '2s'");
    if (done) done = session_->execute(sql);
    auto ended = session_->execute(done ? "COMMIT" : "ROLLBACK");
    return done ? std::move(ended) : std::move(done);
}

void SlotWatch::warn(const std::string& code, const std::string& sentence) {
    auto now = Clock::now();
    auto [last, first] = warned_.try_emplace(code, now);
    if (!first && now - last->second < between_warnings) return;
    last->second = now;
    log::warning("{}", sentence);
}

}  // namespace penstock::postgres
