#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "flow/accounting.h"
#include "flow/error_policy.h"
#include "flow/purse.h"
#include "flow/reject.h"
#include "flow/sink.h"
#include "flow/source.h"
#include "flow/validation.h"

namespace penstock::flow {

/// What became of one table in a run.
struct TableResult {
    std::string source;  ///< schema.table
    std::string target;
    Counts counts;
    Checkpoint checkpoint;  ///< the newest durable one
    std::vector<SchemaDecision> decisions;
    std::vector<std::string> notes;
    std::vector<ValidationRecord> validations = {};  ///< also of what was not made durable
    std::chrono::duration<double> duration{};
};

enum class RunStatus { success, failed, skipped, stopped };
std::string_view to_string(RunStatus status);

struct RunResult {
    RunIdentity identity;
    RunStatus status = RunStatus::success;
    std::vector<TableResult> tables;
    std::optional<Error> error;
    int attempts = 1;
    TimePoint started_at{};
    std::chrono::duration<double> duration{};
    uint64_t peak_memory_bytes = 0;
    Spending spent = {};
    double cost_usd = 0;
    std::optional<TimePoint> deferred_until = {};  ///< of one that was put off
    Counts counts() const;                         ///< sum over tables
};

/// Told about a run while it goes on, from the runner's thread; progress figures may be read from any thread until run()
/// returns. A table is started again by a retry.
class RunObserver {
  public:
    virtual ~RunObserver() = default;
    virtual void tables_planned(const std::vector<TableTarget>&, const std::vector<TablePlan>&) {}
    virtual void table_started(const TableTarget&, const Progress&) {}
    virtual void table_ended(const TableResult&) {}
    virtual void retrying(const Error&, std::chrono::microseconds delay, int attempt, int max_attempts) {
        (void)delay, (void)attempt, (void)max_attempts;
    }
    /// Progress figures must not be read any more.
    virtual void run_ended() {}
};

struct RunRequest {
    RunIdentity identity;
    std::function<Result<std::unique_ptr<Source>>()> make_source;
    std::function<Result<std::unique_ptr<Sink>>()> make_sink;
    /// Target options for a discovered table; an error ends the run before anything is read.
    std::function<Result<TableTarget>(size_t index, const TableInfo&)> target_for;
    std::vector<std::string> anew = {};  ///< tables of a stream that are read from the beginning, by hand
    RejectPolicy rejects;
    RetryPolicy retries;
    RunObserver* observer = nullptr;
    /// Asked right before every commit; an error keeps it from happening and ends the attempt.
    std::function<Status()> may_commit = {};
    /// Where the checks of the run say what they found; null where there are none.
    std::shared_ptr<ValidationLog> validations = {};
    /// Asks what is to be asked of a whole table of the target, once all of a commit is loaded. An error of one that is asked before
    /// the commit keeps it from happening.
    std::function<Status(CheckedTarget&, const TableTarget&)> check_table = {};
    /// What the checks of a table will be charged as the target stands, before anything is read; nothing where they are free. The
    /// target is null unless asking has a price. A run leaves that much of its budget to them, and ends where it has not got it.
    std::function<Result<std::optional<Expected>>(CheckedTarget*, const TableTarget&)> price_checks = {};
    /// What source and sink spend from; null where nothing is run.
    std::shared_ptr<Purse> purse = {};
    /// In place of source and sink: work of another program, which says here what it has written. Called once a try.
    std::function<Status(std::vector<TableResult>&, std::stop_token)> work = {};
};

/// Runs a pipeline once, to its end: discover, plan, then segment by segment begin, load, commit, confirm. Retries failures
/// that another try can mend from the last durable checkpoint, with new source and sink objects; tables that are done stay
/// done, and a commit that made progress gives the full number of retries back. Never throws; the result holds the tables
/// that are durable even when it failed. Writes nothing but through the sink.
RunResult run(const RunRequest& request, std::stop_token stop);

/// The same up to the plan, for `penstock plan`, `types` and `schema diff`: what would be read and done.
struct PlannedTable {
    TableTarget target;
    TablePlan plan;
};
Result<std::vector<PlannedTable>> plan(const RunRequest& request, std::stop_token stop);

}  // namespace penstock::flow
