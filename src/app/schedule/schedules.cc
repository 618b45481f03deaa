#include "app/schedule/schedules.h"

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "app/schedule/jobs.h"
#include "base/log.h"

namespace penstock::app {
namespace {

constexpr std::chrono::milliseconds tick{500};
/// With runs that were asked to stop.
constexpr std::chrono::seconds most_patience{10};

void log_event(const ScheduleEvent& event) {
    log::Scope scope(event.pipeline, "");
    switch (event.kind) {
        case ScheduleEvent::Kind::leader_changed:
        case ScheduleEvent::Kind::run_recovered: return log::info("{}: {}", to_string(event.kind), event.message);
        case ScheduleEvent::Kind::run_crashed:
        case ScheduleEvent::Kind::times_missed: return log::warning("{}: {}", to_string(event.kind), event.message);
        case ScheduleEvent::Kind::run_failed:
        case ScheduleEvent::Kind::sla_missed: return log::error("{}: {}", to_string(event.kind), event.message);
    }
}

}  // namespace

Schedules::Schedules(const Session& session, const config::Document& document, std::function<size_t()> others)
    : document_(document),
      children_(session, static_cast<size_t>(session.options.workers), std::move(others)),
      sensors_(document),
      news_(document) {}

Schedules::~Schedules() { drain(std::chrono::steady_clock::now()); }

Status Schedules::open() {
    Scheduler::Settings settings{.pools = document_.pools};
    PN_TRY(settings.jobs, scheduled_jobs(document_));
    for (const auto& pipeline : document_.pipelines) settings.retries[pipeline.name] = pipeline.retries;
    PN_TRY(auto intervals, state::Intervals::open(document_.state.reveal(), document_.state_directory));
    scheduler_ = std::make_unique<Scheduler>(
        std::move(settings), std::move(intervals), children_,
        [this](const schedule::Interval& one) { return sensors_.found(one); },
        [this](const ScheduleEvent& event) {
            log_event(event);
            news_.scheduled(event);
        });
    looking_ = std::jthread([this](std::stop_token stop) { keep_looking(std::move(stop)); });
    return {};
}

void Schedules::keep_looking(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
        if (held_) children_.ended();
        else if (auto looked = scheduler_->look(now()); !looked)
            log::warning("the schedule was not looked after: {}", looked.error().message);
        leads_ = scheduler_->leads();
        wake.wait_for(lock, stop, tick, [] { return false; });
    }
}

void Schedules::drain(std::chrono::steady_clock::time_point until) {
    held_ = true;
    if (!looking_.joinable()) return;
    auto have_ended = [&](std::chrono::steady_clock::time_point last) {
        while (running() > 0 && std::chrono::steady_clock::now() < last)
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return running() == 0;
    };
    if (!have_ended(until)) {
        log::warning("{} scheduled runs are under way; what is not committed will be taken back", running());
        children_.stop(SIGTERM);
        if (!have_ended(std::chrono::steady_clock::now() + most_patience)) {
            log::warning("{} scheduled runs do not stop and are killed", running());
            children_.stop(SIGKILL);
            have_ended(std::chrono::steady_clock::now() + most_patience);
        }
    }
    looking_.request_stop();
    looking_.join();
    if (auto resigned = scheduler_->resign(); !resigned)
        log::warning("the lead of the scheduler was not given up: {}", resigned.error().message);
}

}  // namespace penstock::app
