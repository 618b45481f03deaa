#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "state/place.h"
#include "state/process.h"

namespace penstock::state {

/// Who runs a pipeline.
struct LockHolder {
    std::string pipeline;
    std::string run_id;
    int seat = 0;  ///< from 1, of processes that share the pipeline's stream; 0: nobody else may run it
    Process process;
    TimePoint since{};
    TimePoint lease_until{};

    /// A process of this machine is asked; one of another machine lives as long as it renews its lease.
    bool is_alive() const;
};

/// Keeps other runs of a pipeline, or those without a seat of their own, away until it is destroyed or its process dies. A
/// thread of its own renews the lease.
class Lock {
  public:
    Lock(Place place, LockHolder holder);
    ~Lock();
    Lock(Lock&&) noexcept;
    Lock& operator=(Lock&&) noexcept;

    /// Requested when another run took the lock over, or may have: the lease could not be renewed before it ended. The run
    /// must not go on.
    std::stop_token lost() const;
    /// Right before a commit: renews the lease. Fails with loss(), and requests lost(), when the lock is not ours any more.
    /// A state that does not answer is no loss while the lease lasts.
    Status hold();
    /// 0 of a pipeline that is held whole.
    int seat() const;
    /// Why a run ends whose lock is lost.
    Error loss() const;

  private:
    struct Lease;
    std::unique_ptr<Lease> lease_;
};

/// The refusal that names the holder.
Error already_running(const LockHolder& holder);

/// How long a lease lasts without being renewed: longer than a minute in which a server is restarted.
inline constexpr std::chrono::seconds lease_time{120};
/// The wall clock, whatever PENSTOCK_NOW says: leases are real.
TimePoint lease_clock();

}  // namespace penstock::state
