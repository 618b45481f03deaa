#include "app/execution.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "app/operate/run_log.h"
#include "app/operate/run_witness.h"
#include "base/code_pages.h"
#include "base/deadline.h"
#include "base/humane.h"
#include "base/job_scope.h"
#include "base/log.h"
#include "flow/shared_stream.h"

namespace penstock::app {
namespace {

flow::RunResult failed(const flow::RunIdentity& identity, Error error) {
    flow::RunResult result;
    result.identity = identity;
    result.status = flow::RunStatus::failed;
    result.started_at = now();
    result.error = std::move(error);
    return result;
}

Error run_timeout(const std::string& pipeline, std::chrono::microseconds most) {
    return {.kind = ErrorKind::capacity,
            .code = "run_timeout",
            .message = fmt::format("{} was stopped after {}, its `timeout`", pipeline, humane_duration(most)),
            .hint = "what was committed stays; raise `timeout`, or see in `penstock runs` what takes the time"};
}

Error lock_lost_in_run(const state::Lock& lock, std::optional<Error> met) {
    Error lost = lock.loss();
    if (met && met->code != lost.code) lost.cause = std::make_shared<const Error>(std::move(*met));
    return lost;
}

enum class Sharing { neither, source_only, both };

/// Which of source and target can have several processes at once.
Sharing sharing_of(const Pipeline& pipeline) {
    if (!pipeline.is_routed()) return Sharing::neither;
    auto source = pipeline.build_source();
    auto sink = pipeline.build_sink();
    if (!source || !sink) return Sharing::neither;  // the run says why
    const auto* shared = flow::shared_source(**source);
    if (shared == nullptr || !shared->may_share()) return Sharing::neither;
    return flow::shared_sink(**sink) == nullptr ? Sharing::source_only : Sharing::both;
}

Error in_company(Error refused, Company company, Sharing sharing) {
    if (refused.code != "already_running") return refused;
    if (company == Company::allowed && sharing == Sharing::source_only)
        refused.hint =
            "the target is written by one process at a time: several share this stream where it goes to BigQuery or "
            "into files";
    if (company == Company::alone && sharing == Sharing::both)
        refused.hint =
            "this needs the pipeline alone: stop the processes that share it, and start them again afterwards";
    return refused;
}

/// Every source of the run knows which seat it has.
void seat(flow::RunRequest& request, state::Store& store, int number) {
    flow::Seat seat{.number = number};
    seat.take = [&store, identity = request.identity](int other) -> Result<std::shared_ptr<void>> {
        auto lock = store.sit(identity.pipeline, identity.run_id, other);
        if (!lock && lock.error().code == "already_running") return std::shared_ptr<void>();
        if (!lock) return fail(std::move(lock.error()));
        return std::make_shared<state::Lock>(std::move(*lock));
    };
    request.make_source = [make = request.make_source, seat]() -> Result<std::unique_ptr<flow::Source>> {
        auto source = make();
        if (source) flow::shared_source(**source)->sit(seat);
        return source;
    };
}

/// A run whose machine is gone has the pipeline until its lease ends.
Result<state::Lock> lock_of(const flow::RunIdentity& run, bool shares, state::Store& store,
                            std::chrono::microseconds patience, const std::stop_token& stop) {
    auto until = std::chrono::steady_clock::now() + patience;
    for (bool told = false;; told = true) {
        auto lock = shares ? store.sit(run.pipeline, run.run_id) : store.acquire(run.pipeline, run.run_id);
        if (lock || lock.error().code != "already_running") return lock;
        if (stop.stop_requested() && told)
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = "stopped while it waited for another run of the pipeline"});
        if (std::chrono::steady_clock::now() >= until) return lock;
        if (!told) log::info("waits: {}", lock.error().message);
        std::this_thread::sleep_for(std::min<std::chrono::microseconds>(patience, std::chrono::milliseconds(500)));
    }
}

/// The run itself, under its lock.
flow::RunResult run_locked(const Pipeline& pipeline, flow::RunRequest request, state::Store& store, JobTables& jobs,
                           std::stop_token stop, const Terms& terms, RunLog& own_log) {
    const auto identity = request.identity;
    auto sharing = sharing_of(pipeline);
    bool shares = terms.company == Company::allowed && sharing == Sharing::both;
    auto lock = lock_of(identity, shares, store, terms.patience, stop);
    if (!lock) return failed(identity, in_company(std::move(lock.error()), terms.company, sharing));
    if (shares) seat(request, store, lock->seat());
    if (auto started = store.begin_run(identity, now()); !started) return failed(identity, std::move(started.error()));
    own_log.begun();
    auto job = jobs.begin(pipeline.config(), identity);
    if (!job) {
        auto result = failed(identity, std::move(job.error()));
        if (auto ended = store.end_run(result, pipeline.config().keep_runs); !ended)
            log::warning("the run's end is not in the history: {}", ended.error().message);
        return result;
    }
    if (request.purse != nullptr) request.purse->keep_in(store.spending(identity));
    log::info("run {} begins", identity.run_id);
    Deadline deadline(terms.most);
    EitherStop in_time(std::move(stop), deadline.token());
    EitherStop either(in_time.token(), lock->lost());
    request.may_commit = [&lock] { return lock->hold(); };
    let_go_of_code_pages();
    RunWitness witness(pipeline, identity, store.cause(), request.observer);
    witness.begun(store.gone());
    request.observer = &witness;
    auto result = flow::run(request, either.token());
    if (lock->lost().stop_requested()) {
        result.status = flow::RunStatus::failed;
        result.error = lock_lost_in_run(*lock, std::move(result.error));
    }
    if (deadline.token().stop_requested() && result.status != flow::RunStatus::success) {
        result.status = flow::RunStatus::failed;
        result.error = run_timeout(identity.pipeline, *terms.most);
    }
    witness.ended(result);
    // The rows are where they belong whatever becomes of the history, so that is no failure of the run.
    if (auto ended = store.end_run(result, pipeline.config().keep_runs); !ended)
        log::warning("the run's end is not in the history: {}", ended.error().message);
    log::info("run {} ends: {}", identity.run_id, flow::to_string(result.status));
    return result;
}

}  // namespace

flow::RunResult execute(const Pipeline& pipeline, flow::RunRequest request, state::Store& store, JobTables& jobs,
                        std::stop_token stop, Terms terms) {
    const auto identity = request.identity;
    const auto& config = pipeline.config();
    log::Scope scope(identity.pipeline, identity.run_id);
    log::JobScope job(config.organization, config.jobs ? identity.run_id : "");
    RunLog own_log(identity, store.logs(), terms.shares_process);
    auto result = run_locked(pipeline, std::move(request), store, jobs, std::move(stop), terms, own_log);
    if (result.error) own_log.ended(*result.error);
    if (auto ended = jobs.end(config, result); !ended)
        log::warning("the run's end is not among the jobs: {}", ended.error().message);
    return result;
}

std::vector<std::string> unmet(const config::PipelineConfig& pipeline, const std::vector<flow::RunResult>& earlier) {
    std::vector<std::string> names;
    for (const auto& result : earlier) {
        bool waited_for = std::ranges::any_of(
            pipeline.after, [&](const config::Text& name) { return name.value == result.identity.pipeline; });
        if (waited_for && result.status != flow::RunStatus::success) names.push_back(result.identity.pipeline);
    }
    return names;
}

flow::RunResult skipped(const std::string& pipeline, const std::vector<std::string>& waited_for) {
    flow::RunResult result;
    result.identity = {.pipeline = pipeline, .run_id = ""};
    result.status = flow::RunStatus::skipped;
    result.started_at = now();
    result.error = Error{.kind = ErrorKind::conflict,
                         .code = "dependency_failed",
                         .message = fmt::format("{} did not run: it comes after {}, which did not succeed", pipeline,
                                                fmt::join(waited_for, " and ")),
                         .hint = fmt::format("mend {}, then run both again", fmt::join(waited_for, " and "))};
    return result;
}

}  // namespace penstock::app
