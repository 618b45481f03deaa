#include "state/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/failpoint.h"
#include "state/connection.h"
#include "state/lock_rows.h"
#include "state/measure_rows.h"
#include "state/moment.h"
#include "state/spending.h"

namespace penstock::state {
namespace {

/// Those of one pipeline.
std::vector<LockHolder> holders_of(soci::session& sql, const std::string& pipeline) {
    auto holders = select_holders(sql);
    std::erase_if(holders, [&](const LockHolder& holder) { return holder.pipeline != pipeline; });
    return holders;
}

void delete_seat(soci::session& sql, const std::string& pipeline, long long seat) {
    sql << "DELETE FROM penstock.seats WHERE pipeline = :pipeline AND seat = :seat", soci::use(pipeline),
        soci::use(seat);
}

/// Runs whose processes are gone: all that the history has as running of a pipeline, or one of them.
std::vector<GoneRun> record_crashed(soci::session& sql, const std::string& pipeline, const std::string& run_id = {}) {
    std::vector<GoneRun> gone;
    GoneRun one{.pipeline = pipeline};
    long long started = 0;
    soci::statement select =
        (sql.prepare << "SELECT run_id, started_at FROM penstock.runs WHERE status = 'running' AND "
                        "pipeline = :pipeline",
         soci::into(one.run_id), soci::into(started), soci::use(pipeline));
    for (select.execute(); select.fetch();) {
        one.started_at = from_micros(started);
        if (run_id.empty() || one.run_id == run_id) gone.push_back(one);
    }
    std::string error = to_json(crashed());
    count_crashes(sql, pipeline, static_cast<long long>(gone.size()));
    for (const auto& each : gone)
        sql << "UPDATE penstock.runs SET status = 'failed', error = :error WHERE status = 'running' AND run_id = "
               ":run_id",
            soci::use(error), soci::use(each.run_id);
    return gone;
}

/// All but the newest runs of a pipeline; those under way stay.
void forget_runs(soci::session& sql, const std::string& pipeline, long long keep) {
    std::string run_id;
    long long started = 0;
    soci::indicator found = soci::i_null;
    sql << "SELECT started_at, run_id FROM penstock.runs WHERE pipeline = :pipeline AND status <> 'running' ORDER BY "
           "started_at "
           "DESC, run_id DESC LIMIT 1 OFFSET :keep",
        soci::use(pipeline), soci::use(keep), soci::into(started), soci::into(run_id, found);
    if (!sql.got_data()) return;
    std::string which =
        "FROM penstock.runs WHERE pipeline = :pipeline AND status <> 'running' AND (started_at < :before OR "
        "(started_at = :started AND run_id <= :run_id))";
    for (const auto& statement :
         {"DELETE FROM penstock.run_logs WHERE run_id IN (SELECT run_id " + which + ")", "DELETE " + which})
        sql << statement, soci::use(pipeline), soci::use(started), soci::use(started), soci::use(run_id);
}

/// Whether what became of the run is in the measures: done twice, its end is counted once.
bool has_ended(soci::session& sql, const std::string& run_id) {
    long long count = 0;
    sql << "SELECT count(*) FROM penstock.runs WHERE status <> 'running' AND run_id = :run_id", soci::use(run_id),
        soci::into(count);
    return count != 0;
}

bool has_run(soci::session& sql, const std::string& run_id) {
    long long count = 0;
    sql << "SELECT count(*) FROM penstock.runs WHERE run_id = :run_id", soci::use(run_id), soci::into(count);
    return count != 0;
}

/// A run's row as it lies in the database.
struct RunRow {
    RunRecord record;
    Process process;
    std::string tables, error;
};

Result<RunRecord> record_of(RunRow row, const std::vector<LockHolder>& holders) {
    RunRecord& record = row.record;
    PN_TRY(record.tables, tables_from_json(row.tables));
    if (!row.error.empty()) {
        PN_TRY(record.error, error_from_json(row.error));
    }
    record.pid = row.process.pid;
    record.host = row.process.host;
    if (record.status != "running") return record;
    auto lock = std::ranges::find(holders, record.run_id, &LockHolder::run_id);
    bool lives = lock != holders.end() ? lock->is_alive() : alive(row.process) == Alive::yes;
    if (lives) {
        record.duration = now() - record.started_at;
    } else {
        record.status = "failed";
        record.error = crashed();
    }
    return record;
}

}  // namespace

Store::Store(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Store::~Store() = default;
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;

Result<Store> Store::open(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::yes));
    connection->set_patience(Connection::long_patience);
    return Store(std::move(connection));
}

Result<std::optional<Store>> Store::open_existing(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::no));
    if (connection == nullptr) return std::optional<Store>();
    return std::optional<Store>(Store(std::move(connection)));
}

Result<std::string> Store::version() { return connection_->version(); }

Result<Lock> Store::acquire(const std::string& pipeline, const std::string& run_id) {
    LockHolder ours{.pipeline = pipeline, .run_id = run_id, .process = this_process()};
    auto held = [&](soci::session& sql) -> Result<bool> {
        return std::ranges::count(select_holders(sql), run_id, &LockHolder::run_id) == 1;
    };
    std::vector<GoneRun> gone;
    auto take = [&](soci::session& sql) -> Status {
        ours.since = lease_clock(), ours.lease_until = ours.since + lease_time;
        PN_CHECK(take_lock(sql, ours, [](const LockHolder& holder) { return holder.is_alive(); }));
        gone = record_crashed(sql, pipeline);
        return {};
    };
    PN_CHECK(connection_->write(take, held));
    gone_.insert(gone_.end(), gone.begin(), gone.end());
    return Lock(connection_->place(), std::move(ours));
}

Result<Lock> Store::sit(const std::string& pipeline, const std::string& run_id, int seat) {
    LockHolder ours{.pipeline = pipeline, .run_id = run_id, .seat = seat, .process = this_process()};
    auto held = [&](soci::session& sql) -> Result<bool> {
        auto holders = holders_of(sql, pipeline);
        return std::ranges::any_of(
            holders, [&](const auto& holder) { return holder.run_id == run_id && holder.seat == ours.seat; });
    };
    std::vector<GoneRun> gone;
    auto take = [&](soci::session& sql) -> Status {
        gone.clear();
        ours.seat = std::max(seat, 1);
        for (const auto& holder : holders_of(sql, pipeline)) {  // in the order of their seats
            bool lives = holder.is_alive();
            if (lives && (holder.seat == 0 || holder.seat == seat)) return fail(already_running(holder));
            if (lives && seat == 0 && holder.seat == ours.seat) ++ours.seat;
            if (lives || (holder.seat != 0 && holder.seat != ours.seat)) continue;
            std::ranges::move(record_crashed(sql, pipeline, holder.run_id), std::back_inserter(gone));
            if (holder.seat != 0) delete_seat(sql, pipeline, holder.seat);
            else sql << "DELETE FROM penstock.locks WHERE pipeline = :pipeline", soci::use(pipeline);
        }
        ours.since = lease_clock(), ours.lease_until = ours.since + lease_time;
        insert_lock(sql, ours);
        return {};
    };
    PN_CHECK(connection_->write(take, held));
    gone_.insert(gone_.end(), gone.begin(), gone.end());
    return Lock(connection_->place(), std::move(ours));
}

Result<std::vector<LockHolder>> Store::holders() {
    std::vector<LockHolder> holders;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        holders = select_holders(sql);
        return {};
    }));
    std::erase_if(holders, [](const LockHolder& holder) { return !holder.is_alive(); });
    return holders;
}

std::unique_ptr<flow::SpendingBook> Store::spending(const flow::RunIdentity& run) const {
    return std::make_unique<RecordedSpending>(connection_->place(), run);
}

RunLogs Store::logs() const { return RunLogs(connection_->place()); }

Result<flow::Charge> Store::spent_on_day(const std::string& pipeline, TimePoint at) {
    flow::Charge spent;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        spent = state::spent_on_day(sql, pipeline, at);
        return {};
    }));
    return spent;
}

Status Store::begin_run(const flow::RunIdentity& identity, TimePoint started_at) {
    auto insert = [&](soci::session& sql) -> Status {
        Process process = this_process();
        long long started = micros(started_at), pid = process.pid, pid_started = process.started;
        long long from = micros(cause_.window_start), to = micros(cause_.window_end);
        std::string origin(schedule::to_string(cause_.origin));
        sql << "INSERT INTO penstock.runs (run_id, pipeline, status, started_at, duration_seconds, attempts, "
               "peak_memory_bytes, "
               "tables, error, pid, pid_started, host, machine, origin, window_start, window_end, token) "
               "VALUES (:run_id, :pipeline, 'running', :started, 0, 1, 0, '[]', '', :pid, :pid_started, :host, "
               ":machine, :origin, :from, :to, :token)",
            soci::use(identity.run_id), soci::use(identity.pipeline), soci::use(started), soci::use(pid),
            soci::use(pid_started), soci::use(process.host), soci::use(process.machine), soci::use(origin),
            soci::use(from), soci::use(to), soci::use(cause_.token);
        return {};
    };
    PN_CHECK(
        connection_->write(insert, [&](soci::session& sql) -> Result<bool> { return has_run(sql, identity.run_id); }));
    PN_FAILPOINT(state_run_started_after);
    return {};
}

Status Store::end_run(const flow::RunResult& result, int64_t keep) {
    PN_FAILPOINT(state_run_ended_before);
    return connection_->write_again([&](soci::session& sql) -> Status {
        Process process = this_process();
        std::string status(to_string(result.status)), tables = to_json(result.tables);
        std::string error = result.error ? to_json(*result.error) : "";
        long long until = result.deferred_until ? micros(*result.deferred_until) : 0;
        long long started = micros(result.started_at), attempts = result.attempts, pid = process.pid;
        long long pid_started = process.started, peak = static_cast<long long>(result.peak_memory_bytes);
        long long from = micros(cause_.window_start), to = micros(cause_.window_end);
        std::string origin(schedule::to_string(cause_.origin));
        double duration = result.duration.count();
        if (!has_ended(sql, result.identity.run_id)) count_run(sql, result);
        sql << "DELETE FROM penstock.runs WHERE run_id = :run_id", soci::use(result.identity.run_id);
        sql << "INSERT INTO penstock.runs (run_id, pipeline, status, started_at, duration_seconds, attempts, "
               "peak_memory_bytes, tables, error, pid, pid_started, host, machine, deferred_until, origin, "
               "window_start, "
               "window_end, token) VALUES (:run_id, :pipeline, :status, :started, :duration, :attempts, :peak, "
               ":tables, "
               ":error, :pid, :pid_started, :host, :machine, :until, :origin, :from, :to, :token)",
            soci::use(result.identity.run_id), soci::use(result.identity.pipeline), soci::use(status),
            soci::use(started), soci::use(duration), soci::use(attempts), soci::use(peak), soci::use(tables),
            soci::use(error), soci::use(pid), soci::use(pid_started), soci::use(process.host),
            soci::use(process.machine), soci::use(until), soci::use(origin), soci::use(from), soci::use(to),
            soci::use(cause_.token);
        forget_runs(sql, result.identity.pipeline, keep);
        forget_spending(sql, result.identity.pipeline, now());
        return {};
    });
}

Result<std::vector<RunRecord>> Store::select(const std::string& where, const std::string& parameter, int limit,
                                             const std::string& before) {
    std::vector<RunRow> rows;
    std::vector<LockHolder> locks;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        RunRow row;
        RunRecord& record = row.record;
        long long started = 0, peak = 0, pid = 0, pid_started = 0, until = 0, bytes = 0, nano_usd = 0, slots = 0;
        long long from = 0, to = 0;
        double duration = 0;
        soci::statement select =
            (sql.prepare
                 << "SELECT run_id, pipeline, status, started_at, duration_seconds, attempts, peak_memory_bytes, "
                    "tables, error, pid, pid_started, host, machine, deferred_until, origin, window_start, window_end, "
                 << spent_of_run << " FROM penstock.runs AS r WHERE (" << where
                 << ") AND (:every = '' OR (started_at, run_id) < (SELECT b.started_at, b.run_id FROM penstock.runs AS "
                    "b "
                    "WHERE b.run_id = :before)) ORDER BY started_at DESC, run_id DESC LIMIT :rows",
             soci::into(record.run_id), soci::into(record.pipeline), soci::into(record.status), soci::into(started),
             soci::into(duration), soci::into(record.attempts), soci::into(peak), soci::into(row.tables),
             soci::into(row.error), soci::into(pid), soci::into(pid_started), soci::into(row.process.host),
             soci::into(row.process.machine), soci::into(until), soci::into(record.origin), soci::into(from),
             soci::into(to), soci::into(bytes), soci::into(nano_usd), soci::into(slots), soci::use(parameter),
             soci::use(before), soci::use(before), soci::use(limit));
        for (select.execute(); select.fetch(); rows.push_back(row)) {
            record.started_at = from_micros(started);
            record.duration = std::chrono::duration<double>(duration);
            record.peak_memory_bytes = static_cast<uint64_t>(peak);
            record.window_start = from_micros(from), record.window_end = from_micros(to);
            record.deferred_until = until == 0 ? std::nullopt : std::optional(from_micros(until));
            record.spent = {.bytes_billed = bytes, .slot_millis = slots, .usd = usd_of(nano_usd)};
            row.process.pid = pid, row.process.started = pid_started;
        }
        locks = select_holders(sql);
        return {};
    }));
    std::vector<RunRecord> records;
    for (auto& row : rows) {
        PN_TRY(auto record, record_of(std::move(row), locks));
        records.push_back(std::move(record));
    }
    return records;
}

Result<std::vector<RunRecord>> Store::runs(int limit, const std::string& pipeline, const std::string& before) {
    return select(pipeline.empty() ? ":pipeline = ''" : "pipeline = :pipeline", pipeline, limit, before);
}

Result<std::optional<RunRecord>> Store::run(const std::string& run_id) {
    PN_TRY(auto found, select("run_id = :run_id", run_id, 1));
    return found.empty() ? std::optional<RunRecord>() : std::optional(std::move(found[0]));
}

Result<std::vector<RunRecord>> Store::last_runs() {
    PN_TRY(auto last,
           select(":none = '' AND run_id = (SELECT run_id FROM penstock.runs AS o WHERE o.pipeline = r.pipeline "
                  "ORDER BY started_at DESC, run_id DESC LIMIT 1)",
                  "", std::numeric_limits<int>::max()));
    std::ranges::sort(last, {}, &RunRecord::pipeline);
    return last;
}

}  // namespace penstock::state
