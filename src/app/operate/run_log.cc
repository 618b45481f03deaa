#include "app/operate/run_log.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "app/output.h"
#include "base/log.h"

namespace penstock::app {
namespace {

constexpr std::chrono::seconds write_every{1};

}  // namespace

RunLog::RunLog(const flow::RunIdentity& run, state::RunLogs logs, bool shares_process)
    : run_id_(run.run_id), logs_(std::move(logs)) {
    listener_.emplace(run.run_id, !shares_process, [this](std::string line) {
        std::lock_guard lock(mutex_);
        lines_.add(std::move(line));
        wake_.notify_all();
    });
    writing_ = std::jthread([this](const std::stop_token& stop) { keep_writing(stop); });
}

RunLog::~RunLog() {
    listener_.reset();
    writing_.request_stop();
    writing_.join();
    if (trouble_) log::warning("the log of run {} is not whole in the history: {}", run_id_, trouble_->message);
}

void RunLog::begun() {
    std::lock_guard lock(mutex_);
    begun_ = true;
    wake_.notify_all();
}

void RunLog::ended(const Error& error) {
    auto details = error_json(error);
    std::string message = details["message"];
    details.erase("message");
    listener_->hear(log::Level::error, message,
                    details.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void RunLog::keep_writing(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    do {
        wake_.wait(lock, stop, [&] { return begun_ && !lines_.empty(); });
        wake_.wait_for(lock, stop, write_every, [] { return false; });
        write_out(lock);
    } while (!stop.stop_requested());
    write_out(lock);  // what came while the last ones were written
}

void RunLog::write_out(std::unique_lock<std::mutex>& lock) {
    if (!begun_ || lines_.empty()) return;
    auto batch = lines_.batch();
    lock.unlock();
    auto added = logs_.add(run_id_, batch.lines, batch.head, batch.tail);
    lock.lock();
    trouble_.reset();
    if (added) lines_.written(batch);
    else trouble_ = std::move(added.error());  // the next second's lines go with these
}

}  // namespace penstock::app
