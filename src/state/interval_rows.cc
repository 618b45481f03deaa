#include "state/interval_rows.h"

#include <array>

#include "state/moment.h"

namespace penstock::state {
namespace {

using schedule::Interval;
using schedule::IntervalState;
using schedule::Origin;

template <class Enum, size_t count>
Enum named(const std::string& text, const std::array<Enum, count>& all) {
    for (auto one : all)
        if (text == schedule::to_string(one)) return one;
    return all.back();  // of a newer version: nothing that would be begun
}

constexpr std::array origins = {Origin::schedule, Origin::backfill, Origin::trigger, Origin::manual};
constexpr std::array states = {IntervalState::waiting,   IntervalState::starting, IntervalState::running,
                               IntervalState::succeeded, IntervalState::failed,   IntervalState::cancelled};

using Prepared = soci::details::prepare_temp_type;

const std::string columns =
    "SELECT pipeline, window_start, window_end, origin, status, attempts, crashes, token, leader, not_before, made_at, "
    "began_at, ended_at, late, bounds_cursor, remark FROM penstock.intervals WHERE ";

/// `bind` binds what `where` wants.
template <class Bind>
std::vector<Interval> select(soci::session& sql, const std::string& where, Bind bind) {
    Interval one;
    std::string origin, status;
    long long start = 0, end = 0, not_before = 0, made = 0, began = 0, ended = 0;
    int late = 0, bounds = 0;
    auto prepared = sql.prepare << columns + where;
    prepared, soci::into(one.pipeline), soci::into(start), soci::into(end), soci::into(origin), soci::into(status),
        soci::into(one.attempts), soci::into(one.crashes), soci::into(one.token), soci::into(one.leader),
        soci::into(not_before), soci::into(made), soci::into(began), soci::into(ended), soci::into(late),
        soci::into(bounds), soci::into(one.remark);
    bind(prepared);
    soci::statement select = prepared;
    std::vector<Interval> found;
    for (select.execute(); select.fetch(); found.push_back(one)) {
        one.start = from_micros(start), one.end = from_micros(end);
        one.origin = named(origin, origins), one.state = named(status, states);
        one.not_before = from_micros(not_before), one.made_at = from_micros(made);
        one.began_at = from_micros(began), one.ended_at = from_micros(ended);
        one.is_late = late != 0, one.bounds_cursor = bounds != 0;
    }
    return found;
}

std::optional<Interval> first_of(const std::vector<Interval>& found) {
    return found.empty() ? std::nullopt : std::optional(found.front());
}

}  // namespace

std::optional<Interval> select_interval(soci::session& sql, const Interval& with) {
    long long start = micros(with.start), end = micros(with.end);
    return first_of(
        select(sql, "pipeline = :pipeline AND window_start = :start AND window_end = :end",
               [&](Prepared& statement) { statement, soci::use(with.pipeline), soci::use(start), soci::use(end); }));
}

std::optional<Interval> select_interval(soci::session& sql, const std::string& token) {
    return first_of(
        select(sql, "token = :token AND token <> ''", [&](Prepared& statement) { statement, soci::use(token); }));
}

std::vector<Interval> select_open_intervals(soci::session& sql) {
    return select(sql, "status IN ('waiting', 'starting', 'running') ORDER BY window_end, pipeline", [](Prepared&) {});
}

std::vector<Interval> select_ended_since(soci::session& sql, TimePoint window_end) {
    long long since = micros(window_end);
    return select(sql, "status NOT IN ('waiting', 'starting', 'running') AND window_end >= :since",
                  [&](Prepared& statement) { statement, soci::use(since); });
}

std::vector<Interval> select_newest(soci::session& sql, const std::string& pipeline, int most) {
    return select(sql,
                  std::string(pipeline.empty() ? ":pipeline = ''" : "pipeline = :pipeline") +
                      " ORDER BY window_end DESC, pipeline LIMIT :most",
                  [&](Prepared& statement) { statement, soci::use(pipeline), soci::use(most); });
}

void insert_interval(soci::session& sql, const Interval& one) {
    std::string origin(schedule::to_string(one.origin)), status(schedule::to_string(one.state));
    long long start = micros(one.start), end = micros(one.end), not_before = micros(one.not_before);
    long long made = micros(one.made_at), began = micros(one.began_at), ended = micros(one.ended_at);
    int late = one.is_late ? 1 : 0, bounds = one.bounds_cursor ? 1 : 0;
    sql << "INSERT INTO penstock.intervals (pipeline, window_start, window_end, origin, status, attempts, crashes, "
           "token, "
           "leader, not_before, made_at, began_at, ended_at, late, bounds_cursor, remark) VALUES (:pipeline, :start, "
           ":end, "
           ":origin, :status, :attempts, :crashes, :token, :leader, :not_before, :made, :began, :ended, :late, "
           ":bounds, "
           ":remark)",
        soci::use(one.pipeline), soci::use(start), soci::use(end), soci::use(origin), soci::use(status),
        soci::use(one.attempts), soci::use(one.crashes), soci::use(one.token), soci::use(one.leader),
        soci::use(not_before), soci::use(made), soci::use(began), soci::use(ended), soci::use(late), soci::use(bounds),
        soci::use(one.remark);
}

void update_interval(soci::session& sql, const Interval& interval) {
    delete_interval(sql, interval);
    insert_interval(sql, interval);
}

void delete_interval(soci::session& sql, const Interval& with) {
    long long start = micros(with.start), end = micros(with.end);
    sql << "DELETE FROM penstock.intervals WHERE pipeline = :pipeline AND window_start = :start AND window_end = :end",
        soci::use(with.pipeline), soci::use(start), soci::use(end);
}

void delete_ended_before(soci::session& sql, TimePoint before) {
    long long time = micros(before);
    sql << "DELETE FROM penstock.intervals WHERE ended_at > 0 AND ended_at < :time", soci::use(time);
}

std::vector<schedule::Watch> select_watches(soci::session& sql) {
    schedule::Watch one;
    long long seen = 0, paused = 0;
    soci::statement select =
        (sql.prepare << "SELECT pipeline, seen_until, paused_at, paused_by FROM penstock.watches ORDER BY pipeline",
         soci::into(one.pipeline), soci::into(seen), soci::into(paused), soci::into(one.paused_by));
    std::vector<schedule::Watch> found;
    for (select.execute(); select.fetch(); found.push_back(one))
        one.seen_until = from_micros(seen), one.paused_at = from_micros(paused);
    return found;
}

schedule::Watch select_watch(soci::session& sql, const std::string& pipeline) {
    for (auto& one : select_watches(sql))
        if (one.pipeline == pipeline) return one;
    return {.pipeline = pipeline};
}

void put_watch(soci::session& sql, const schedule::Watch& watch) {
    long long seen = micros(watch.seen_until), paused = micros(watch.paused_at);
    sql << "DELETE FROM penstock.watches WHERE pipeline = :pipeline", soci::use(watch.pipeline);
    sql << "INSERT INTO penstock.watches (pipeline, seen_until, paused_at, paused_by) VALUES (:pipeline, :seen, "
           ":paused, :by)",
        soci::use(watch.pipeline), soci::use(seen), soci::use(paused), soci::use(watch.paused_by);
}

}  // namespace penstock::state
