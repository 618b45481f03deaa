#include "app/schedule/interval_run.h"

#include <fmt/format.h>

#include "schedule/times.h"

namespace penstock::app {
namespace {

using schedule::IntervalState;

/// After somebody else had the pipeline.
constexpr std::chrono::seconds soon{10};

/// What has no retries of its own: after a server or a store was away.
constexpr std::chrono::minutes later{1};
constexpr int most_tries = 5;

struct Outcome {
    IntervalState state = IntervalState::succeeded;
    std::string remark;
    TimePoint not_before{};
};

/// A run's own retries are over when it has failed, so the interval has failed, too; what was only cut short or put off waits.
Outcome outcome_of(std::span<const flow::RunResult> results) {
    Outcome outcome;
    for (const auto& result : results) {
        if (result.status == flow::RunStatus::success) continue;
        std::string why = result.error ? result.error->message : std::string(flow::to_string(result.status));
        if (result.deferred_until) return {IntervalState::waiting, why, *result.deferred_until};
        if (result.error && result.error->kind == ErrorKind::interrupted) return {IntervalState::waiting, why};
        if (result.error && (result.error->code == "already_running" || result.error->code == "lock_lost"))
            return {IntervalState::waiting, why, state::lease_clock() + soon};
        if (outcome.state == IntervalState::succeeded) outcome = {IntervalState::failed, why};
    }
    return outcome;
}

}  // namespace

Result<std::optional<Window>> read_window(const std::string& text) {
    if (text.empty()) return std::optional<Window>();
    auto slash = text.find('/');
    if (slash != text.npos) {
        PN_TRY(auto start, schedule::read_moment(text.substr(0, slash), Zone()));
        PN_TRY(auto end, schedule::read_moment(text.substr(slash + 1), Zone()));
        if (start < end) return std::optional(Window{start, end});
    }
    return fail({.kind = ErrorKind::usage,
                 .code = "bad_window",
                 .message = fmt::format("'{}' is no stretch of time", text),
                 .hint = "such as --window 2026-11-01/2026-11-02, the first moment and the one behind the last"});
}

std::map<std::string, std::optional<std::string>> window_values(const Window& window, const Zone& zone) {
    auto second = [](TimePoint time) { return iso_time(time).substr(0, 19) + "Z"; };
    auto local = zone.local(std::chrono::floor<std::chrono::seconds>(window.start));
    return {{"start", second(window.start)},
            {"end", second(window.end)},
            {"date", iso_time(TimePoint(local.time_since_epoch())).substr(0, 10)}};
}

Result<std::optional<IntervalRun>> IntervalRun::begin(const Session& session, const config::Document& document) {
    if (session.options.interval.empty()) return std::optional<IntervalRun>();
    PN_TRY(auto intervals, state::Intervals::open(document.state.reveal(), document.state_directory));
    PN_TRY(auto begun, intervals.begin(session.options.interval));
    state::Lock lock(intervals.place(), begun.holder);
    return std::optional(IntervalRun(std::move(intervals), std::move(begun.interval), std::move(lock)));
}

state::RunCause IntervalRun::cause() const {
    return {interval_.origin, interval_.start, interval_.end, interval_.token};
}

Status IntervalRun::end(std::span<const flow::RunResult> results) {
    auto outcome = outcome_of(results);
    return intervals_.end(interval_.token, outcome.state, outcome.remark, outcome.not_before);
}

bool IntervalRun::is_tried_again(const Error& error) const {
    if (error.kind == ErrorKind::interrupted) return true;
    bool passing = error.kind == ErrorKind::unavailable || error.kind == ErrorKind::conflict;
    return passing && interval_.attempts < most_tries;
}

Status IntervalRun::end(const std::optional<Error>& error) {
    if (!error) return intervals_.end(interval_.token, IntervalState::succeeded, "", {});
    return intervals_.end(interval_.token, is_tried_again(*error) ? IntervalState::waiting : IntervalState::failed,
                          error->message,
                          error->kind == ErrorKind::interrupted ? TimePoint{} : state::lease_clock() + later);
}

}  // namespace penstock::app
