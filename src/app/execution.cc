#include "app/execution.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/log.h"

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

/// Requested when either is.
class EitherStop {
  public:
    EitherStop(std::stop_token one, std::stop_token other)
        : one_(std::move(one), [this] { both_.request_stop(); }),
          other_(std::move(other), [this] { both_.request_stop(); }) {}
    std::stop_token token() const { return both_.get_token(); }

  private:
    std::stop_source both_;
    std::stop_callback<std::function<void()>> one_;
    std::stop_callback<std::function<void()>> other_;
};

Status record_start(state::Store& store, const flow::RunIdentity& identity) {
    PN_CHECK(store.begin_run(identity, now()));
    PN_FAILPOINT(state_run_started_after);
    return {};
}

Status record_end(state::Store& store, const flow::RunResult& result) {
    PN_FAILPOINT(state_run_ended_before);
    return store.end_run(result);
}

}  // namespace

flow::RunResult execute(const Pipeline& pipeline, flow::RunRequest request, state::Store& store, std::stop_token stop) {
    const auto identity = request.identity;
    log::Scope scope(identity.pipeline, identity.run_id);
    auto lock = store.acquire(pipeline.name(), identity.run_id);
    if (!lock) return failed(identity, std::move(lock.error()));
    if (auto started = record_start(store, identity); !started) return failed(identity, std::move(started.error()));
    log::info("run {} begins", identity.run_id);
    EitherStop either(std::move(stop), lock->lost());
    auto result = flow::run(request, either.token());
    // The rows are where they belong whatever becomes of the history, so that is no failure of the run.
    if (auto ended = record_end(store, result); !ended)
        log::warning("the run's end is not in the history: {}", ended.error().message);
    log::info("run {} ends: {}", identity.run_id, flow::to_string(result.status));
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
