#include "connect/postgres/capture/change_pump.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"

namespace penstock::postgres {
namespace {

constexpr auto glance = std::chrono::milliseconds(100);
/// Between two looks at how much waits.
constexpr int most_messages = 256;

bool has_unsent(const Tuple& tuple) {
    return std::ranges::any_of(tuple.values, [](const auto& value) { return value.kind == 'u'; });
}

Error unexpected(const char* what) {
    return {.kind = ErrorKind::data,
            .code = "replication_protocol",
            .message = fmt::format("the replication stream cannot be understood: {}", what)};
}

}  // namespace

ChangePump::ChangePump(ReplicationStream& stream, ChangeLog& log, std::vector<PumpedTable> tables, PumpOptions options)
    : stream_(stream),
      log_(log),
      tables_(std::move(tables)),
      options_(options),
      decoder_(options.protocol_version, options.streaming),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

ChangePump::~ChangePump() {
    thread_.request_stop();
    thread_.join();
}

ChangePump::State ChangePump::wait(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    auto before = state_.reached;
    changed_.wait_for(lock, most, [&] { return state_.error || state_.reached != before; });
    return state_;
}

void ChangePump::run(std::stop_token stop) {
    Status status;
    try {
        status = pump(stop);
    } catch (const std::exception& error) {
        status = fail({.kind = ErrorKind::internal,
                       .code = "pump_threw",
                       .message = fmt::format("reading the change stream failed: {}", error.what())});
    }
    std::lock_guard lock(mutex_);
    if (!status) state_.error = std::move(status.error());
    changed_.notify_all();
}

Status ChangePump::pump(std::stop_token stop) {
    ReplicationStream::Received received;
    while (!stop.stop_requested()) {
        while (log_.usage().queued_bytes > options_.pause_bytes && !stop.stop_requested())
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        committed_ = false;
        for (int i = 0; i < most_messages && !committed_; ++i) {
            PN_TRY(auto got, stream_.receive(received, glance));
            if (got == ReplicationStream::Got::end) return {};
            if (got == ReplicationStream::Got::timeout) break;
            PN_CHECK(take(received));
        }
        std::lock_guard lock(mutex_);
        state_.reached = std::max<uint64_t>(state_.reached, stream_.server_end());
        changed_.notify_all();
    }
    return {};
}

Status ChangePump::take(const ReplicationStream::Received& received) {
    PN_FAILPOINT(changes_receive_after);
    PN_TRY(auto message, decoder_.decode(received.payload));
    return std::visit([this](const auto& one) { return on(one); }, message);
}

Status ChangePump::on(const Begin& message) {
    begun_ = message;
    return log_.begin(message.xid);
}

Status ChangePump::on(const Commit& message) {
    if (!begun_) return fail(unexpected("a commit without begin"));
    PN_CHECK(committed(begun_->xid, message.commit_lsn, message.end_lsn, message.committed_at));
    begun_.reset();
    return {};
}

Status ChangePump::on(const StreamStart& message) {
    streamed_ = message.xid;
    return message.first ? log_.begin(message.xid) : Status();
}

Status ChangePump::on(const StreamStop&) {
    streamed_ = 0;
    return {};
}

Status ChangePump::on(const StreamCommit& message) {
    return committed(message.xid, message.commit_lsn, message.end_lsn, message.committed_at);
}

Status ChangePump::on(const StreamAbort& message) {
    if (message.subxid != message.xid) return log_.abort_sub(message.xid, message.subxid);
    log_.abort(message.xid);
    return {};
}

Status ChangePump::committed(uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn, int64_t committed_at) {
    PN_CHECK(log_.commit(xid, commit_lsn, end_lsn, committed_at));
    committed_ = true;
    std::lock_guard lock(mutex_);
    state_.reached = std::max<uint64_t>(state_.reached, end_lsn);
    return {};
}

Status ChangePump::on(const RelationMessage& message) {
    Relation& relation = relations_[message.relation];
    auto same = [&](const PumpedTable& pumped) { return pumped.table->read.oid == message.relation; };
    auto found = std::ranges::find_if(tables_, same);
    relation.captured = found != tables_.end();
    if (!relation.captured) return check_other(message);
    relation.table = static_cast<size_t>(found - tables_.begin());
    PN_TRY(auto shape, match_shape(*found->table, message));
    if (!shape.complete) PN_CHECK(options_.check_left_out(*found->table, message));
    relation.shape = found->shapes->add(std::move(shape));
    return {};
}

/// A captured table's name on another relation: it was dropped and made anew since the tables were looked at.
Status ChangePump::check_other(const RelationMessage& message) const {
    for (const auto& pumped : tables_) {
        const auto& read = pumped.table->read;
        if (read.schema != message.schema || read.relation != message.name) continue;
        return fail({.kind = ErrorKind::unavailable,
                     .code = "table_changed",
                     .message = fmt::format("table {} was dropped and made anew", read.info.name),
                     .where = "table " + read.info.name,
                     .hint = "what came before is in the target; run once with --full-refresh"});
    }
    return {};
}

Result<const ChangePump::Relation*> ChangePump::relation(uint32_t oid) const {
    auto found = relations_.find(oid);
    if (found == relations_.end()) return fail(unexpected("a change of a relation that was not described"));
    return &found->second;
}

Status ChangePump::append(uint32_t subxid, const Relation& relation, Change change) {
    if (!relation.captured) return {};
    if (!begun_ && streamed_ == 0) return fail(unexpected("a change outside of a transaction"));
    change.table = static_cast<uint32_t>(relation.table);
    change.schema = relation.shape;
    return log_.append(streamed_ != 0 ? streamed_ : begun_->xid, subxid, change);
}

Status ChangePump::on(const Insert& message) {
    PN_TRY(auto relation, this->relation(message.relation));
    return append(message.xid, *relation, {.op = 'c', .new_tuple = message.row.bytes});
}

Status ChangePump::on(const Update& message) {
    PN_TRY(auto relation, this->relation(message.relation));
    Change change{.op = 'u', .old_tuple = message.old_row.bytes, .new_tuple = message.row.bytes};
    if (message.old_kind == OldTuple::full) change.flags |= change_flag::full_old;
    if (message.old_kind == OldTuple::key && has_unsent(message.row)) change.flags |= change_flag::moved_unsent;
    return append(message.xid, *relation, change);
}

Status ChangePump::on(const Delete& message) {
    PN_TRY(auto relation, this->relation(message.relation));
    Change change{.op = 'd', .old_tuple = message.old_row.bytes};
    if (message.old_kind == OldTuple::full) change.flags |= change_flag::full_old;
    return append(message.xid, *relation, change);
}

Status ChangePump::on(const Truncate& message) {
    std::vector<Change> changes;
    for (uint32_t oid : message.relations) {
        PN_TRY(auto relation, this->relation(oid));
        if (!relation->captured) continue;
        changes.push_back({.table = static_cast<uint32_t>(relation->table), .op = 't', .schema = relation->shape});
    }
    if (changes.empty()) return {};
    if (!begun_ && streamed_ == 0) return fail(unexpected("a truncate outside of a transaction"));
    return log_.truncate(streamed_ != 0 ? streamed_ : begun_->xid, message.xid, changes);
}

}  // namespace penstock::postgres
