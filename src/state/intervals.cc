#include "state/intervals.h"

#include <fmt/format.h>

#include <algorithm>

#include "state/connection.h"
#include "state/interval_rows.h"
#include "state/lock_rows.h"

namespace penstock::state {
namespace {

using schedule::Interval;
using schedule::IntervalState;

Error not_leader() {
    return {.kind = ErrorKind::conflict,
            .code = "not_leader",
            .message = "another process leads the scheduler now",
            .hint = "it goes on where this one was; `penstock status` shows what runs"};
}

Status check_leader(soci::session& sql, const std::string& leader) {
    for (const auto& holder : select_holders(sql))
        if (holder.pipeline == leader_lock && holder.run_id == leader) return {};
    return fail(not_leader());
}

bool succeeded(soci::session& sql, const Interval& interval) {
    long long count = 0;
    sql << "SELECT count(*) FROM penstock.runs WHERE pipeline = :pipeline AND token = :token AND status = 'success'",
        soci::use(interval.pipeline), soci::use(interval.token), soci::into(count);
    return count != 0;
}

void wait_again(Interval& interval, std::string remark) {
    interval.state = IntervalState::waiting;
    interval.remark = std::move(remark);
}

}  // namespace

std::string interval_lock(const std::string& pipeline) { return "(interval) " + pipeline; }

Intervals::Intervals(std::unique_ptr<Connection> connection, Life life)
    : connection_(std::move(connection)), life_(std::move(life)) {}
Intervals::~Intervals() = default;
Intervals::Intervals(Intervals&&) noexcept = default;
const Place& Intervals::place() const { return connection_->place(); }

Result<Intervals> Intervals::open(const std::string& url, const std::filesystem::path& directory, Life life) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::yes));
    return Intervals(std::move(connection), std::move(life));
}

Result<std::optional<Intervals>> Intervals::open_existing(const std::string& url,
                                                          const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::no));
    if (connection == nullptr) return std::optional<Intervals>();
    return std::optional<Intervals>(Intervals(std::move(connection), {}));
}

Result<bool> Intervals::lead(const std::string& leader) {
    bool leads = false;
    LockHolder ours{.pipeline = leader_lock, .run_id = leader, .process = life_.self};
    PN_CHECK(connection_->write_again([&](soci::session& sql) -> Status {
        ours.since = life_.clock(), ours.lease_until = ours.since + leader_lease;
        auto taken = take_lock(
            sql, ours, [&](const LockHolder& other) { return other.run_id != leader && life_.is_alive(other); });
        leads = taken.has_value();
        return {};
    }));
    return leads;
}

Status Intervals::resign(const std::string& leader) {
    std::string name = leader_lock;
    return connection_->write_again([&](soci::session& sql) -> Status {
        sql << "DELETE FROM penstock.locks WHERE pipeline = :name AND run_id = :leader", soci::use(name),
            soci::use(leader);
        return {};
    });
}

Result<std::optional<LockHolder>> Intervals::leader() {
    std::optional<LockHolder> found;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        for (auto& holder : select_holders(sql))
            if (holder.pipeline == leader_lock && life_.is_alive(holder)) found = holder;
        return {};
    }));
    return found;
}

Status Intervals::advance(const std::string& leader, const schedule::Watch& seen, TimePoint seen_until,
                          std::span<const Interval> made) {
    auto work = [&](soci::session& sql) -> Status {
        PN_CHECK(check_leader(sql, leader));
        auto now_seen = select_watch(sql, seen.pipeline);
        if (now_seen.seen_until != seen.seen_until)
            return fail({.kind = ErrorKind::conflict,
                         .code = "seen_meanwhile",
                         .message = "another process has looked at " + seen.pipeline + " meanwhile"});
        now_seen.seen_until = seen_until;
        put_watch(sql, now_seen);
        for (const auto& one : made)
            if (!select_interval(sql, one)) insert_interval(sql, one);
        return {};
    };
    return connection_->write(work, [&](soci::session& sql) -> Result<bool> {
        return select_watch(sql, seen.pipeline).seen_until == seen_until;
    });
}

Result<std::vector<Interval>> Intervals::recover(const std::string& leader, const std::set<std::string>& known) {
    std::vector<Interval> recovered;
    auto work = [&](soci::session& sql) -> Status {
        recovered.clear();
        PN_CHECK(check_leader(sql, leader));
        std::set<std::string> held;
        for (const auto& holder : select_holders(sql))
            if (life_.is_alive(holder)) held.insert(holder.run_id);
        for (auto& one : select_open_intervals(sql)) {
            if (one.state == IntervalState::waiting || known.contains(one.token) || held.contains(one.token)) continue;
            if (one.state == IntervalState::starting && one.leader == leader) continue;
            if (one.state == IntervalState::running && succeeded(sql, one)) {
                one.state = IntervalState::succeeded, one.ended_at = life_.clock();
            } else {
                wait_again(one, one.state == IntervalState::running
                                    ? "its process ended without saying how; it runs again"
                                    : "its scheduler ended before it began");
            }
            update_interval(sql, one);
            recovered.push_back(one);
        }
        return {};
    };
    PN_CHECK(connection_->write_again(work));
    return recovered;
}

Result<bool> Intervals::claim(const std::string& leader, const Interval& interval, const std::string& token) {
    bool ours = false;
    auto work = [&](soci::session& sql) -> Status {
        ours = false;
        PN_CHECK(check_leader(sql, leader));
        auto found = select_interval(sql, interval);
        if (!found || found->state != IntervalState::waiting) return {};
        found->state = IntervalState::starting;
        found->token = token, found->leader = leader;
        ++found->attempts;
        update_interval(sql, *found);
        ours = true;
        return {};
    };
    PN_CHECK(connection_->write(work, [&](soci::session& sql) -> Result<bool> {
        auto found = select_interval(sql, interval);
        return ours = found && found->token == token;
    }));
    return ours;
}

Result<std::optional<Interval>> Intervals::settle(const std::string& leader, const std::string& token,
                                                  const std::function<void(Interval&)>& decide) {
    std::optional<Interval> settled;
    auto work = [&](soci::session& sql) -> Status {
        settled.reset();
        PN_CHECK(check_leader(sql, leader));
        auto found = select_interval(sql, token);
        if (!found || (found->state != IntervalState::starting && found->state != IntervalState::running)) return {};
        if (found->state == IntervalState::running && succeeded(sql, *found)) {
            found->state = IntervalState::succeeded, found->ended_at = life_.clock();
        } else {
            decide(*found);
        }
        update_interval(sql, *found);
        settled = found;
        return {};
    };
    PN_CHECK(connection_->write_again(work));
    return settled;
}

Status Intervals::mark_late(const std::string& leader, const Interval& interval) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        PN_CHECK(check_leader(sql, leader));
        auto found = select_interval(sql, interval);
        if (!found) return {};
        found->is_late = true;
        update_interval(sql, *found);
        return {};
    });
}

Result<Intervals::Begun> Intervals::begin(const std::string& token) {
    Begun begun;
    auto work = [&](soci::session& sql) -> Status {
        auto found = select_interval(sql, token);
        if (!found || found->state != IntervalState::starting)
            return fail({.kind = ErrorKind::conflict,
                         .code = "attempt_overtaken",
                         .message = fmt::format("attempt {} is not to be run any more", token),
                         .hint = "another scheduler has taken the lead and begins it anew"});
        begun.holder = {.pipeline = interval_lock(found->pipeline), .run_id = token, .process = life_.self};
        begun.holder.since = life_.clock(), begun.holder.lease_until = begun.holder.since + lease_time;
        PN_CHECK(take_lock(sql, begun.holder, life_.is_alive));
        found->state = IntervalState::running;
        found->began_at = life_.clock();
        update_interval(sql, *found);
        begun.interval = *found;
        return {};
    };
    PN_CHECK(connection_->write(work, [&](soci::session& sql) -> Result<bool> {
        auto found = select_interval(sql, token);
        return found && found->state == IntervalState::running;
    }));
    connection_->set_patience(Connection::long_patience);
    return begun;
}

Status Intervals::end(const std::string& token, IntervalState state, const std::string& remark, TimePoint not_before) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        auto found = select_interval(sql, token);
        if (!found || found->state != IntervalState::running) return {};
        found->state = state, found->remark = remark, found->not_before = not_before;
        if (!is_open(state)) found->ended_at = life_.clock();
        update_interval(sql, *found);
        return {};
    });
}

Status Intervals::pause(const std::string& pipeline, const std::string& by) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        auto watch = select_watch(sql, pipeline);
        watch.paused_at = life_.clock(), watch.paused_by = by;
        put_watch(sql, watch);
        return {};
    });
}

Status Intervals::resume(const std::string& pipeline) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        auto watch = select_watch(sql, pipeline);
        watch.paused_at = {}, watch.paused_by = "";
        put_watch(sql, watch);
        return {};
    });
}

Result<size_t> Intervals::request(std::span<const Interval> intervals) {
    size_t taken = 0;
    PN_CHECK(connection_->write_again([&](soci::session& sql) -> Status {
        taken = 0;
        for (const auto& one : intervals) {
            auto found = select_interval(sql, one);
            if (found && is_open(found->state)) continue;
            if (found) delete_interval(sql, one);
            insert_interval(sql, one);
            ++taken;
        }
        return {};
    }));
    return taken;
}

Result<size_t> Intervals::cancel(const std::string& pipeline) {
    size_t taken = 0;
    PN_CHECK(connection_->write_again([&](soci::session& sql) -> Status {
        taken = 0;
        for (auto& one : select_open_intervals(sql)) {
            if (one.pipeline != pipeline || one.state != IntervalState::waiting) continue;
            one.state = IntervalState::cancelled, one.ended_at = life_.clock();
            update_interval(sql, one);
            ++taken;
        }
        return {};
    }));
    return taken;
}

Result<std::vector<schedule::Watch>> Intervals::watches() {
    std::vector<schedule::Watch> all;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        all = select_watches(sql);
        return {};
    }));
    return all;
}

Result<std::vector<Interval>> Intervals::situation() {
    std::vector<Interval> all;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        all = select_open_intervals(sql);
        if (all.empty()) return {};
        auto ended = select_ended_since(sql, std::ranges::min(all, {}, &Interval::end).end);
        all.insert(all.end(), ended.begin(), ended.end());
        return {};
    }));
    return all;
}

Result<std::optional<Interval>> Intervals::find(const std::string& token) {
    std::optional<Interval> found;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        found = select_interval(sql, token);
        return {};
    }));
    return found;
}

Result<std::map<std::string, bool>> Intervals::last_runs() {
    std::map<std::string, bool> last;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        last.clear();
        std::string pipeline, status;
        soci::statement select =
            (sql.prepare
                 << "SELECT pipeline, status FROM penstock.runs AS r WHERE status <> 'running' AND started_at = "
                    "(SELECT max(started_at) FROM penstock.runs AS s WHERE s.pipeline = r.pipeline AND s.status "
                    "<> 'running')",
             soci::into(pipeline), soci::into(status));
        for (select.execute(); select.fetch();) last[pipeline] = status == "success";
        return {};
    }));
    return last;
}

Result<std::vector<Interval>> Intervals::newest(const std::string& pipeline, int most) {
    std::vector<Interval> all;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        all = select_newest(sql, pipeline, most);
        return {};
    }));
    return all;
}

Status Intervals::forget(TimePoint before) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        delete_ended_before(sql, before);
        return {};
    });
}

}  // namespace penstock::state
