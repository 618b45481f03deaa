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
    for (const auto& table : tables) {
        auto locked = snapshot->holder_->execute(fmt::format("LOCK TABLE {} IN ACCESS SHARE MODE", table));
        if (locked) continue;
        locked.error().where += ", table " + table;
        return fail(std::move(locked.error()));
    }
    PN_TRY(auto exported, snapshot->holder_->query("SELECT pg_catalog.pg_export_snapshot()"));
    snapshot->name_ = exported.text(0, 0);
    PN_FAILPOINT(source_snapshot_after);
    return snapshot;
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
