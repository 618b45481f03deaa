#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "flow/runner.h"
#include "state/lock.h"
#include "state/record.h"
#include "state/run_logs.h"

namespace penstock::state {

class Connection;

/// A run whose process was found to be gone.
struct GoneRun {
    std::string pipeline;
    std::string run_id = {};
    TimePoint started_at{};
};

/// Run history and locks. Holds nothing that cannot be lost: checkpoints are in the targets, or in target_ledger.h. Any number of processes may
/// have it open; one object belongs to one thread.
class Store {
  public:
    /// `url` as for place_of(). Makes the file or the tables when there are none. For runs: from then on a server that does not
    /// answer is waited for as long as a lease lasts, about.
    static Result<Store> open(const std::string& url, const std::filesystem::path& directory);
    /// For commands that only look: nothing when there is no state yet, and none is made.
    static Result<std::optional<Store>> open_existing(const std::string& url, const std::filesystem::path& directory);
    ~Store();
    Store(Store&&) noexcept;
    Store& operator=(Store&&) noexcept;

    /// Takes the pipeline for a run, or says who has it (`already_running`). The lock of a process of this machine that is
    /// gone is taken over at once, that of another machine when its lease is over; their runs are recorded as failed.
    Result<Lock> acquire(const std::string& pipeline, const std::string& run_id);
    /// Takes a seat of the pipeline, among any number of processes that share its stream: the least that is free, or `seat`.
    /// Refused (`already_running`) where somebody has the pipeline for himself, or that seat; and acquire() is where anybody
    /// has a seat. Seats of processes that are gone are free, their runs are recorded as failed once somebody takes them.
    Result<Lock> sit(const std::string& pipeline, const std::string& run_id, int seat = 0);
    /// Who runs what now.
    Result<std::vector<LockHolder>> holders();

    /// What the state is kept in, for people: "MariaDB 10.11.19".
    Result<std::string> version();

    /// Where a run's spending is kept: a connection of its own, once something costs anything.
    std::unique_ptr<flow::SpendingBook> spending(const flow::RunIdentity& run) const;
    /// Where what runs log is kept: a connection of its own, once there is something.
    RunLogs logs() const;
    /// What the pipeline's runs have spent on that day (UTC), open bills at their most.
    Result<flow::Charge> spent_on_day(const std::string& pipeline, TimePoint at);

    /// Why runs are begun, from now on.
    void set_cause(RunCause cause) { cause_ = std::move(cause); }
    const RunCause& cause() const { return cause_; }

    /// Runs that acquire() and sit() have recorded as failed since this was asked last.
    std::vector<GoneRun> gone() { return std::exchange(gone_, {}); }

    Status begin_run(const flow::RunIdentity& identity, TimePoint started_at);
    /// What became of it. A run that was never begun (skipped) is recorded all the same. Of the pipeline's runs that have
    /// ended only the newest `keep` stay in the history.
    Status end_run(const flow::RunResult& result, int64_t keep = 1000);

    /// Newest first; with `before`, a run's id, only those behind that one, none if there is no such run. Runs recorded as running
    /// whose process is gone are shown as failed.
    Result<std::vector<RunRecord>> runs(int limit, const std::string& pipeline = {}, const std::string& before = {});
    Result<std::optional<RunRecord>> run(const std::string& run_id);
    /// The newest run of each pipeline, by pipeline.
    Result<std::vector<RunRecord>> last_runs();

  private:
    explicit Store(std::unique_ptr<Connection> connection);
    Result<std::vector<RunRecord>> select(const std::string& where, const std::string& parameter, int limit,
                                          const std::string& before = {});

    std::unique_ptr<Connection> connection_;
    RunCause cause_;
    std::vector<GoneRun> gone_;
};

}  // namespace penstock::state
