#include "flow/runner.h"

#include <condition_variable>
#include <fstream>
#include <random>

#include "flow/attempt.h"
#include "flow/guarded.h"
#include "flow/table_state.h"

namespace penstock::flow {
namespace {

uint64_t peak_memory_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
    return 0;
}

using Clock = std::chrono::steady_clock;

/// Attempts in a row of less than so long that may end by looking again; more are a failure, which is waited after.
constexpr int most_looks = 10;
constexpr auto looks_within = std::chrono::seconds(30);

/// False when the wait was cut short.
bool wait(std::chrono::microseconds delay, std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, delay, [] { return false; });
    return !stop.stop_requested();
}

double random_share() {
    std::random_device device;
    return std::uniform_real_distribution<double>(0, 1)(device);
}

class Run {
  public:
    Run(const RunRequest& request, std::stop_token stop) : request_(request), stop_(std::move(stop)) {}

    Status to_the_end() {
        int looks = 0;
        for (int failures = 1;; ++failures, ++attempts) {
            auto began = Clock::now();
            bool progressed = false;
            Status status = guarded([&] { return once(progressed); });
            looks = Clock::now() - began > looks_within ? 1 : looks + 1;
            if (!status && status.error().code == look_again && looks <= most_looks && !stop_.stop_requested()) {
                --failures, --attempts;
                continue;
            }
            if (status || stop_.stop_requested() || !worth_retrying(status.error())) return status;
            if (progressed) failures = 1;
            if (failures > request_.retries.max) return status;
            auto delay = retry_delay(request_.retries, failures, random_share());
            if (request_.observer != nullptr)
                request_.observer->retrying(status.error(), delay, failures, request_.retries.max);
            if (!wait(delay, stop_)) return status;
        }
    }

    TableStates states;
    std::vector<TableResult> worked;  ///< by another program
    int attempts = 1;
    Spending spent;

  private:
    Status once(bool& progressed) {
        if (request_.work) {
            if (stop_.stop_requested()) return fail(interrupted());
            worked.clear();
            return request_.work(worked, stop_);
        }
        Attempt attempt(request_, states, unanswered_, stop_);
        Status status = all_steps(attempt);
        progressed = attempt.progressed();
        spent += attempt.spent();
        return status;
    }

    Status all_steps(Attempt& attempt) {
        if (stop_.stop_requested()) return fail(interrupted());
        PN_CHECK(attempt.connect_and_plan());
        attempt.recognise_unanswered();
        PN_CHECK(attempt.set_aside_for_checks());
        announce(attempt);
        PN_CHECK(attempt.open());
        PN_CHECK(attempt.run_segments());
        attempt.end_tables();
        return {};
    }

    void announce(const Attempt& attempt) {
        if (request_.observer != nullptr && !announced_)
            request_.observer->tables_planned(attempt.targets(), attempt.plans());
        announced_ = true;
    }

    const RunRequest& request_;
    std::stop_token stop_;
    std::vector<UnansweredCommit> unanswered_;
    bool announced_ = false;
};

/// What a stop makes fail is the stop's doing, whatever it looked like.
Error as_stopped(Error error) {
    if (error.kind == ErrorKind::interrupted) return error;
    Error stopped = interrupted();
    stopped.cause = std::make_shared<const Error>(std::move(error));
    return stopped;
}

RunStatus status_of(const Error& error) {
    if (error.code == budget_deferred) return RunStatus::skipped;
    bool stopped = error.kind == ErrorKind::interrupted || error.kind == ErrorKind::budget;
    return stopped ? RunStatus::stopped : RunStatus::failed;
}

}  // namespace

RunResult run(const RunRequest& request, std::stop_token stop) {
    RunResult result;
    result.identity = request.identity;
    result.started_at = now();
    auto started = std::chrono::steady_clock::now();
    Run run(request, stop);
    Status status = run.to_the_end();
    if (request.observer != nullptr) request.observer->run_ended();
    if (!status) {
        result.error = stop.stop_requested() ? as_stopped(std::move(status.error())) : std::move(status.error());
        result.status = status_of(*result.error);
        if (result.status == RunStatus::skipped) result.deferred_until = request.purse->deferred_until();
    }
    for (const auto& table : run.states.all())
        if (status || table->durable || !table->result.validations.empty())
            result.tables.push_back(std::move(table->result));
    std::ranges::move(run.worked, std::back_inserter(result.tables));
    result.attempts = run.attempts;
    result.spent = run.spent;
    if (request.purse != nullptr) result.cost_usd = request.purse->spent().usd;
    result.duration = std::chrono::steady_clock::now() - started;
    result.peak_memory_bytes = peak_memory_bytes();
    return result;
}

Result<std::vector<PlannedTable>> plan(const RunRequest& request, std::stop_token stop) {
    return guarded([&]() -> Result<std::vector<PlannedTable>> {
        TableStates states;
        std::vector<UnansweredCommit> unanswered;
        Attempt attempt(request, states, unanswered, stop);
        PN_CHECK(attempt.connect_and_plan());
        PN_TRY(auto prices, attempt.price_checks());
        for (auto& price : prices) request.purse->expect(std::move(price));
        std::vector<PlannedTable> planned;
        for (size_t i = 0; i < attempt.targets().size(); ++i)
            planned.push_back({.target = attempt.targets()[i], .plan = attempt.plans()[i]});
        return planned;
    });
}

std::string_view to_string(RunStatus status) {
    switch (status) {
        case RunStatus::success: return "success";
        case RunStatus::failed: return "failed";
        case RunStatus::skipped: return "skipped";
        case RunStatus::stopped: return "stopped";
    }
    std::unreachable();
}

Counts RunResult::counts() const {
    Counts sum;
    for (const auto& table : tables) sum += table.counts;
    return sum;
}

}  // namespace penstock::flow
