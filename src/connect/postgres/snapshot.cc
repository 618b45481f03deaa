#include "connect/postgres/snapshot.h"

#include <fmt/format.h>

#include "base/failpoint.h"

namespace penstock::postgres {
namespace {

constexpr const char* begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

}  // namespace

Result<std::unique_ptr<Snapshot>> Snapshot::take(const ConnectionOptions& options, const std::string& purpose,
                                                 const std::vector<std::string>& tables, std::stop_token stop) {
    std::unique_ptr<Snapshot> snapshot(new Snapshot(options, purpose, stop));
    PN_TRY(snapshot->holder_, Session::connect(options, purpose, stop));
    PN_CHECK(snapshot->holder_->execute(begin));
    // LOCK takes no snapshot: the next statement does, with the locks held.
    PN_CHECK(snapshot->lock(tables));
    PN_CHECK(snapshot->export_again());
    return snapshot;
}

Result<std::unique_ptr<Snapshot>> Snapshot::adopt(const ConnectionOptions& options, const std::string& purpose,
                                                  const std::string& exported, const std::vector<std::string>& tables,
                                                  std::stop_token stop) {
    std::unique_ptr<Snapshot> snapshot(new Snapshot(options, purpose, stop));
    PN_TRY(snapshot->holder_, Session::connect(options, purpose, stop));
    PN_CHECK(snapshot->holder_->execute(begin));
    PN_CHECK(snapshot->holder_->execute(fmt::format("SET TRANSACTION SNAPSHOT {}", quote_literal(exported))));
    PN_CHECK(snapshot->lock(tables));
    // The catalog as the snapshot sees it, against the files that are there now.
    std::string names;
    for (const auto& table : tables)
        names += (names.empty() ? "" : ", ") + quote_literal(table) + "::pg_catalog.regclass";
    PN_TRY(auto changed, snapshot->holder_->query(fmt::format(
                             "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c WHERE c.relfilenode <> 0 "
                             "AND c.relfilenode IS DISTINCT FROM "
                             "pg_catalog.pg_relation_filenode(c.oid) AND c.oid IN (SELECT t FROM "
                             "pg_catalog.unnest(ARRAY[{0}]) t UNION ALL SELECT p.relid FROM "
                             "pg_catalog.unnest(ARRAY[{0}]) t CROSS JOIN LATERAL pg_catalog.pg_partition_tree(t) p)",
                             names)));
    if (changed.count() != 0)
        return fail({.kind = ErrorKind::unavailable,
                     .code = "table_changed",
                     .message = fmt::format("table {} was rewritten or emptied while its snapshot was taken",
                                            changed.text(0, 0)),
                     .where = snapshot->holder_->place().text(),
                     .hint = "nothing was read; a retry takes a new snapshot"});
    PN_CHECK(snapshot->export_again());
    return snapshot;
}

Status Snapshot::lock(const std::vector<std::string>& tables) {
    for (const auto& table : tables) {
        auto locked = holder_->execute(fmt::format("LOCK TABLE {} IN ACCESS SHARE MODE", table));
        if (locked) continue;
        locked.error().where += ", table " + table;
        return fail(std::move(locked.error()));
    }
    return {};
}

Status Snapshot::export_again() {
    PN_TRY(auto exported, holder_->query("SELECT pg_catalog.pg_export_snapshot()"));
    name_ = exported.text(0, 0);
    PN_FAILPOINT(source_snapshot_after);
    return {};
}

Result<std::unique_ptr<Session>> Snapshot::borrow() {
    {
        std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto session = std::move(idle_.back());
            idle_.pop_back();
            return session;
        }
    }
    PN_TRY(auto session, Session::connect(options_, purpose_, stop_));
    PN_CHECK(session->execute(begin));
    PN_CHECK(session->execute(fmt::format("SET TRANSACTION SNAPSHOT {}", quote_literal(name_))));
    return session;
}

void Snapshot::give_back(std::unique_ptr<Session> session) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(session));
}

}  // namespace penstock::postgres
