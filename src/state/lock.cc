#include "state/lock.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/humane.h"
#include "base/log.h"
#include "state/connection.h"

namespace penstock::state {
namespace {

constexpr std::chrono::seconds renew_every{15};
/// After a renewal that failed.
constexpr std::chrono::seconds renew_soon{2};
/// A connection that was cut is made again, but nobody waits for a server.
constexpr std::chrono::seconds renewal_patience{1};

Result<std::unique_ptr<Connection>> connect(const Place& place) {
    PN_TRY(auto connection, Connection::open(place, Connection::Create::no, renewal_patience));
    if (connection == nullptr)
        return fail({.kind = ErrorKind::unavailable,
                     .code = "state_gone",
                     .message = "the state is not there any more",
                     .where = place.shown});
    return connection;
}

/// Where the holder's row is, and which of the table's it is.
std::string row_of(const LockHolder& holder) {
    if (holder.seat == 0) return "penstock.locks WHERE pipeline = :pipeline AND run_id = :run_id";
    return fmt::format("penstock.seats WHERE pipeline = :pipeline AND run_id = :run_id AND seat = {}", holder.seat);
}

Status release(Connection& connection, const LockHolder& holder) {
    return connection.write_again([&](soci::session& sql) -> Status {
        sql << "DELETE FROM " << row_of(holder), soci::use(holder.pipeline), soci::use(holder.run_id);
        return {};
    });
}

/// False when the lock is somebody else's by now.
Result<bool> renew(Connection& connection, const LockHolder& holder, TimePoint lease_until) {
    bool ours = false;
    PN_CHECK(connection.write_again([&](soci::session& sql) -> Status {
        long long until = lease_until.time_since_epoch().count();
        std::string statement = row_of(holder);
        statement.insert(statement.find(" WHERE"), " SET lease_until = :until");
        soci::statement update = (sql.prepare << "UPDATE " << statement, soci::use(until), soci::use(holder.pipeline),
                                  soci::use(holder.run_id));
        update.execute(true);
        ours = update.get_affected_rows() == 1;
        return {};
    }));
    return ours;
}

Error lock_lost(const LockHolder& holder) {
    return {.kind = ErrorKind::conflict,
            .code = "lock_lost",
            .message = fmt::format("the lock of pipeline {} was lost while run {} went on: another run may have it",
                                   holder.pipeline, holder.run_id),
            .hint =
                "what was not committed is taken back; `penstock status` shows who runs the pipeline, run again when "
                "it has ended"};
}

}  // namespace

TimePoint lease_clock() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

bool LockHolder::is_alive() const {
    switch (alive(process)) {
        case Alive::yes: return true;
        case Alive::no: return false;
        case Alive::unknown: return lease_clock() < lease_until;
    }
    std::unreachable();
}

Error already_running(const LockHolder& holder) {
    return {.kind = ErrorKind::conflict,
            .code = "already_running",
            .message = fmt::format("pipeline {} is already running: run {} of process {} on host {}, since {} ({})",
                                   holder.pipeline, holder.run_id, holder.process.pid, holder.process.host,
                                   iso_time(holder.since), humane_duration(lease_clock() - holder.since)),
            .hint = "wait for it to end, or stop that process; the lock of a dead process is taken over by itself"};
}

struct Lock::Lease {
    Place place;
    LockHolder holder;
    std::stop_source lost;
    std::mutex mutex;
    std::condition_variable_any ended;
    TimePoint held_until{};
    std::unique_ptr<Connection>
        connection;  ///< kept to a server; a file is opened each time, for it may have been moved
    bool answered = true;
    std::jthread renewing;

    /// The caller has the mutex, or is the last one.
    template <class Work>
    auto at_state(Work work) -> decltype(work(*connection)) {
        if (connection == nullptr) {
            PN_TRY(connection, connect(place));
        }
        auto done = work(*connection);
        if (place.engine == Engine::sqlite) connection.reset();
        return done;
    }

    /// The caller has the mutex.
    Status hold() {
        if (lost.stop_requested()) return fail(lock_lost(holder));
        auto until = lease_clock() + lease_time;
        auto ours = at_state([&](Connection& state) { return renew(state, holder, until); });
        answered = ours.has_value();
        if (ours && *ours) {
            held_until = until;
            return {};
        }
        if (!ours && lease_clock() < held_until) {
            log::warning("the lock of pipeline {} was not renewed: {}", holder.pipeline, ours.error().message);
            return {};
        }
        log::error("the lock of pipeline {} is lost", holder.pipeline);
        lost.request_stop();
        Error error = lock_lost(holder);
        if (!ours) error.cause = std::make_shared<const Error>(std::move(ours.error()));
        return fail(std::move(error));
    }

    void keep(std::stop_token stop) {
        std::unique_lock lock(mutex);
        while (true) {
            ended.wait_for(lock, stop, answered ? renew_every : renew_soon, [] { return false; });
            if (stop.stop_requested()) return;
            if (auto held = hold(); !held) return;
        }
    }
};

Lock::Lock(Place place, LockHolder holder) : lease_(std::make_unique<Lease>()) {
    lease_->place = std::move(place);
    lease_->holder = std::move(holder);
    lease_->held_until = lease_->holder.lease_until;
    lease_->renewing = std::jthread([lease = lease_.get()](std::stop_token stop) { lease->keep(std::move(stop)); });
}

Lock::~Lock() {
    if (lease_ == nullptr) return;
    lease_->renewing.request_stop();
    lease_->renewing.join();
    auto released = lease_->at_state([&](Connection& state) { return release(state, lease_->holder); });
    if (!released)
        log::warning("the lock of pipeline {} was not released: {}", lease_->holder.pipeline, released.error().message);
}

Lock::Lock(Lock&&) noexcept = default;
Lock& Lock::operator=(Lock&&) noexcept = default;

std::stop_token Lock::lost() const { return lease_->lost.get_token(); }

Status Lock::hold() {
    std::scoped_lock lock(lease_->mutex);
    return lease_->hold();
}

int Lock::seat() const { return lease_->holder.seat; }

Error Lock::loss() const { return lock_lost(lease_->holder); }

}  // namespace penstock::state
