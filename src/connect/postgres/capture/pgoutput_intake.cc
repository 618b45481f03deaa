#include "connect/postgres/capture/pgoutput_intake.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/postgres/replication/replication_error.h"

namespace penstock::postgres {
namespace {

bool has_unsent(const Tuple& tuple) {
    return std::ranges::any_of(tuple.values, [](const auto& value) { return value.kind == 'u'; });
}

/// The message has the table's columns, in their order.
bool are_planned(const ChangeTable& table, const RelationMessage& message) {
    const auto& columns = table.read.columns;
    auto same = [](const RelationColumn& sent, const ReadColumn& column) {
        return sent.name == std::string_view(column.field.name) && sent.type == column.type;
    };
    return std::ranges::equal(message.columns, columns, same);
}

/// The table had the columns that it has now, under the same names.
bool were_planned(const ChangeTable& table, const KnownColumns& before) {
    const auto& columns = table.read.columns;
    auto same = [&](const ReadColumn& column) {
        auto found = before.columns.find(column.field.name);
        return found != before.columns.end() && found->second.number == column.field.source_id;
    };
    return before.columns.size() == columns.size() && std::ranges::all_of(columns, same);
}

}  // namespace

Error made_anew(const flow::TableInfo& table) {
    return {.kind = ErrorKind::unavailable,
            .code = "table_changed",
            .message = fmt::format("table {} was dropped and made anew", table.name),
            .where = "table " + table.name,
            .hint = "what came before is in the target; run once with --full-refresh"};
}

PgoutputIntake::PgoutputIntake(ChangeLog& log, std::vector<IntakeTable> tables, PgoutputIntakeOptions options)
    : log_(log),
      tables_(std::move(tables)),
      options_(std::move(options)),
      decoder_(options_.protocol_version, options_.streaming) {}

Result<Lsn> PgoutputIntake::take(const ReplicationStream::Received& received) {
    ended_ = 0;
    if (received.start_lsn != 0) at_ = received.start_lsn;  // relation messages come without
    PN_TRY(auto message, decoder_.decode(received.payload));
    PN_CHECK(std::visit([this](const auto& one) { return on(one); }, message));
    return ended_;
}

Status PgoutputIntake::on(const Begin& message) {
    begun_ = message;
    return log_.begin(message.xid);
}

Status PgoutputIntake::on(const Commit& message) {
    if (!begun_) return fail(unexpected("a commit without begin"));
    PN_CHECK(committed(begun_->xid, message.commit_lsn, message.end_lsn, message.committed_at));
    begun_.reset();
    return {};
}

Status PgoutputIntake::on(const StreamStart& message) {
    streamed_ = message.xid;
    return message.first ? log_.begin(message.xid) : Status();
}

Status PgoutputIntake::on(const StreamStop&) {
    streamed_ = 0;
    return {};
}

Status PgoutputIntake::on(const StreamCommit& message) {
    return committed(message.xid, message.commit_lsn, message.end_lsn, message.committed_at);
}

Status PgoutputIntake::on(const StreamAbort& message) {
    if (message.subxid != message.xid) return log_.abort_sub(message.xid, message.subxid);
    log_.abort(message.xid);
    return {};
}

Status PgoutputIntake::committed(uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn, int64_t committed_at) {
    PN_CHECK(log_.commit(xid, commit_lsn, end_lsn, committed_at));
    ended_ = end_lsn;
    return {};
}

Status PgoutputIntake::on(const RelationMessage& message) {
    Relation& relation = relations_[message.relation];
    auto same = [&](const IntakeTable& known) { return known.table->read.oid == message.relation; };
    auto found = std::ranges::find_if(tables_, same);
    relation.captured = found != tables_.end() && !found->aside;
    if (found == tables_.end()) return check_other(message);
    if (found->aside) return {};
    relation.table = static_cast<size_t>(found - tables_.begin());
    PN_TRY(auto shape, match(*found, message));
    relation.shape = found->shapes->add(std::move(shape));
    return {};
}

/// What cannot be read may not be wanted.
Result<ChangeShape> PgoutputIntake::match(const IntakeTable& table, const RelationMessage& message) const {
    const auto* before = known_at(table.known, moment());
    auto shape = are_planned(*table.table, message) && (before == nullptr || were_planned(*table.table, *before))
                     ? match_shape(*table.table, message)
                     : match_others(table, message, before);
    if (shape || moment() >= table.from) return shape;
    bool of_table = shape.error().kind == ErrorKind::schema || shape.error().kind == ErrorKind::data;
    if (!of_table) return shape;
    return ChangeShape{.failure = std::move(shape.error())};
}

/// Columns have come, gone or been renamed, before these changes or after them.
Result<ChangeShape> PgoutputIntake::match_others(const IntakeTable& table, const RelationMessage& message,
                                                 const KnownColumns* before) const {
    PN_TRY(auto now, options_.columns_now(*table.table, message));
    if (before == nullptr) return match_shape(*table.table, message);
    auto numbers = numbers_of(message.columns, *before, now);
    if (numbers) return match_shape(*table.table, message, *numbers);
    PN_CHECK(match_shape(*table.table, message));
    return fail(columns_renamed(*table.table));
}

/// A captured table's name on another relation: it was dropped and made anew since the tables were looked at.
Status PgoutputIntake::check_other(const RelationMessage& message) const {
    for (const auto& known : tables_) {
        const auto& read = known.table->read;
        if (known.aside || read.schema != message.schema || read.relation != message.name) continue;
        return fail(made_anew(read.info));
    }
    options_.met_other();
    return {};
}

Result<const PgoutputIntake::Relation*> PgoutputIntake::relation(uint32_t oid) const {
    auto found = relations_.find(oid);
    if (found == relations_.end()) return fail(unexpected("a change of a relation that was not described"));
    return &found->second;
}

Status PgoutputIntake::append(uint32_t subxid, const Relation& relation, Change change) {
    if (!relation.captured) return {};
    if (!begun_ && streamed_ == 0) return fail(unexpected("a change outside of a transaction"));
    change.table = static_cast<uint32_t>(relation.table);
    change.schema = relation.shape;
    return log_.append(streamed_ != 0 ? streamed_ : begun_->xid, subxid, change);
}

Status PgoutputIntake::on(const Insert& message) {
    PN_TRY(auto relation, this->relation(message.relation));
    return append(message.xid, *relation, {.op = 'c', .new_tuple = message.row.bytes});
}

Status PgoutputIntake::on(const Update& message) {
    PN_TRY(auto relation, this->relation(message.relation));
    Change change{.op = 'u', .old_tuple = message.old_row.bytes, .new_tuple = message.row.bytes};
    if (message.old_kind == OldTuple::full) change.flags |= change_flag::full_old;
    if (message.old_kind == OldTuple::key && has_unsent(message.row)) change.flags |= change_flag::moved_unsent;
    return append(message.xid, *relation, change);
}

Status PgoutputIntake::on(const Delete& message) {
    PN_TRY(auto relation, this->relation(message.relation));
    Change change{.op = 'd', .old_tuple = message.old_row.bytes};
    if (message.old_kind == OldTuple::full) change.flags |= change_flag::full_old;
    return append(message.xid, *relation, change);
}

Status PgoutputIntake::on(const Truncate& message) {
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
