#include "connect/postgres/capture/wal2json_intake.h"

#include "connect/postgres/replication/replication_error.h"

namespace penstock::postgres {
namespace {}  // namespace

Wal2jsonIntake::Wal2jsonIntake(ChangeLog& log, std::vector<Wal2jsonTable> tables, Wal2jsonFormat format)
    : log_(log), format_(format), decoder_(format) {
    for (uint32_t i = 0; i < tables.size(); ++i) {
        if (tables[i].table.aside) continue;
        const auto& read = tables[i].table.table->read;
        Name name{read.schema, read.relation};
        Lsn from = tables[i].table.from;
        tables_.emplace(std::move(name), Captured{i, from, Wal2jsonTuples(std::move(tables[i]))});
    }
}

Result<Lsn> Wal2jsonIntake::take(const ReplicationStream::Received& received) {
    ended_ = 0;
    decoder_.feed(received.payload);
    Wal2jsonChange change;
    while (true) {
        PN_TRY(bool any, decoder_.next(change));
        if (!any) return ended_;
        PN_CHECK(on(change));
    }
}

Status Wal2jsonIntake::on(const Wal2jsonChange& change) {
    if (change.action == 'M') return {};
    if (change.action == 'B') {
        if (begun_ || !change.xid) return fail(unexpected("a transaction begins within another, or has no number"));
        begun_ = true;
        xid_ = *change.xid;
        at_ = commit_place(change).value_or(0);
        return log_.begin(xid_);
    }
    if (!begun_) return fail(unexpected("a change outside of a transaction"));
    if (change.action == 'T') return truncate(change);
    PN_CHECK(end_truncate());
    if (change.action == 'C') return commit(change);
    Captured* captured = this->captured(change);
    if (captured == nullptr) return {};
    PN_TRY(auto taken, captured->tuples.take(change));
    taken.table = captured->table;
    return log_.append(xid_, 0, taken);
}

/// Format 1 does not tell where the commit record begins. The byte before its end is in it too: positions rise as commits
/// do, and lie before a snapshot's consistent point exactly where the transaction is in the snapshot.
std::optional<uint64_t> Wal2jsonIntake::commit_place(const Wal2jsonChange& change) const {
    if (format_ == Wal2jsonFormat::changes) return change.lsn;
    return change.next_lsn ? std::optional(*change.next_lsn - 1) : std::nullopt;
}

Status Wal2jsonIntake::commit(const Wal2jsonChange& change) {
    auto at = commit_place(change);
    if (!at || !change.next_lsn || !change.committed_at) return fail(unexpected("a commit without place or time"));
    begun_ = false;
    ended_ = *change.next_lsn;
    return log_.commit(xid_, *at, *change.next_lsn, *change.committed_at);
}

Status Wal2jsonIntake::truncate(const Wal2jsonChange& change) {
    if (change.lsn != truncated_at_) PN_CHECK(end_truncate());
    truncated_at_ = change.lsn.value_or(0);
    if (Captured* captured = this->captured(change)) truncated_.push_back({.table = captured->table, .op = 't'});
    return {};
}

Status Wal2jsonIntake::end_truncate() {
    if (truncated_.empty()) return {};
    auto status = log_.truncate(xid_, 0, truncated_);
    truncated_.clear();
    return status;
}

/// The table that the change is of, if it is wanted.
Wal2jsonIntake::Captured* Wal2jsonIntake::captured(const Wal2jsonChange& change) {
    bool same = last_name_ != nullptr && last_name_->second == change.table && last_name_->first == change.schema;
    if (!same) {
        auto found = tables_.find(Name(change.schema, change.table));
        if (found == tables_.end()) return nullptr;
        last_name_ = &found->first;
        last_ = &found->second;
    }
    return at_ < last_->from ? nullptr : last_;
}

}  // namespace penstock::postgres
