#include "state/lock_rows.h"

#include <fmt/format.h>

#include "state/moment.h"

namespace penstock::state {

void insert_lock(soci::session& sql, const LockHolder& holder) {
    long long pid = holder.process.pid, started = holder.process.started;
    long long since = micros(holder.since), until = micros(holder.lease_until);
    constexpr const char* names = "pipeline, run_id, pid, pid_started, host, machine, acquired_at, lease_until";
    constexpr const char* values = ":pipeline, :run_id, :pid, :started, :host, :machine, :since, :until";
    std::string into = holder.seat == 0 ? fmt::format("locks ({}) VALUES ({})", names, values)
                                        : fmt::format("seats (seat, {}) VALUES ({}, {})", names, holder.seat, values);
    sql << "INSERT INTO penstock." << into, soci::use(holder.pipeline), soci::use(holder.run_id), soci::use(pid),
        soci::use(started), soci::use(holder.process.host), soci::use(holder.process.machine), soci::use(since),
        soci::use(until);
}

std::vector<LockHolder> select_holders(soci::session& sql) {
    LockHolder holder;
    long long pid = 0, started = 0, since = 0, until = 0;
    soci::statement select =
        (sql.prepare
             << "SELECT pipeline, run_id, 0 AS seat, pid, pid_started, host, machine, acquired_at, lease_until FROM "
                "penstock.locks UNION ALL SELECT pipeline, run_id, seat, pid, pid_started, host, machine, "
                "acquired_at, lease_until FROM penstock.seats ORDER BY pipeline, seat",
         soci::into(holder.pipeline), soci::into(holder.run_id), soci::into(holder.seat), soci::into(pid),
         soci::into(started), soci::into(holder.process.host), soci::into(holder.process.machine), soci::into(since),
         soci::into(until));
    std::vector<LockHolder> holders;
    for (select.execute(); select.fetch(); holders.push_back(holder)) {
        holder.process.pid = pid, holder.process.started = started;
        holder.since = from_micros(since), holder.lease_until = from_micros(until);
    }
    return holders;
}

Status take_lock(soci::session& sql, const LockHolder& holder, const std::function<bool(const LockHolder&)>& is_alive) {
    for (const auto& other : select_holders(sql))
        if (other.pipeline == holder.pipeline && is_alive(other)) return fail(already_running(other));
    sql << "DELETE FROM penstock.locks WHERE pipeline = :pipeline", soci::use(holder.pipeline);
    sql << "DELETE FROM penstock.seats WHERE pipeline = :pipeline", soci::use(holder.pipeline);
    insert_lock(sql, holder);
    return {};
}

}  // namespace penstock::state
