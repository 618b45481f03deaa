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

Status release(const std::filesystem::path& file, const LockHolder& holder) {
    PN_TRY(auto connection, Connection::open(file, Connection::Create::no));
    return connection->write([&](soci::session& sql) -> Status {
        sql << "DELETE FROM locks WHERE pipeline = :pipeline AND run_id = :run_id", soci::use(holder.pipeline),
            soci::use(holder.run_id);
        return {};
    });
}

/// False when the lock is somebody else's by now.
Result<bool> renew(const std::filesystem::path& file, const LockHolder& holder) {
    PN_TRY(auto connection, Connection::open(file, Connection::Create::no));
    bool ours = false;
    PN_CHECK(connection->write([&](soci::session& sql) -> Status {
        long long until = (lease_clock() + lease_time).time_since_epoch().count();
        soci::statement update = (sql.prepare << "UPDATE locks SET lease_until = :until "
                                                 "WHERE pipeline = :pipeline AND run_id = :run_id",
                                  soci::use(until), soci::use(holder.pipeline), soci::use(holder.run_id));
        update.execute(true);
        ours = update.get_affected_rows() == 1;
        return {};
    }));
    return ours;
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
    std::filesystem::path file;
    LockHolder holder;
    std::stop_source lost;
    std::mutex mutex;
    std::condition_variable_any ended;
    std::jthread renewing;

    void keep(std::stop_token stop) {
        std::unique_lock lock(mutex);
        while (true) {
            ended.wait_for(lock, stop, renew_every, [] { return false; });
            if (stop.stop_requested()) return;
            auto ours = renew(file, holder);
            if (!ours)
                log::warning("the lock of pipeline {} was not renewed: {}", holder.pipeline, ours.error().message);
            if (ours && !*ours) {
                log::error("the lock of pipeline {} was taken over", holder.pipeline);
                lost.request_stop();
                return;
            }
        }
    }
};

Lock::Lock(std::filesystem::path file, LockHolder holder) : lease_(std::make_unique<Lease>()) {
    lease_->file = std::move(file);
    lease_->holder = std::move(holder);
    lease_->renewing = std::jthread([lease = lease_.get()](std::stop_token stop) { lease->keep(std::move(stop)); });
}

Lock::~Lock() {
    if (lease_ == nullptr) return;
    lease_->renewing.request_stop();
    lease_->renewing.join();
    auto released = release(lease_->file, lease_->holder);
    if (!released)
        log::warning("the lock of pipeline {} was not released: {}", lease_->holder.pipeline, released.error().message);
}

Lock::Lock(Lock&&) noexcept = default;
Lock& Lock::operator=(Lock&&) noexcept = default;

std::stop_token Lock::lost() const { return lease_->lost.get_token(); }

}  // namespace penstock::state
