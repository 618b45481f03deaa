#include "connect/postgres/capture/change_pump.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"

namespace penstock::postgres {
namespace {

constexpr auto glance = std::chrono::milliseconds(100);
/// Between two looks at how much waits.
constexpr int most_messages = 256;

}  // namespace

ChangePump::ChangePump(ReplicationStream& stream, ChangeLog& log, std::unique_ptr<ChangeIntake> intake,
                       uint64_t pause_bytes)
    : stream_(stream),
      log_(log),
      intake_(std::move(intake)),
      pause_bytes_(pause_bytes),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

ChangePump::~ChangePump() {
    thread_.request_stop();
    thread_.join();
}

ChangePump::State ChangePump::wait(std::chrono::steady_clock::duration most) {
    std::unique_lock lock(mutex_);
    auto before = state_.reached;
    changed_.wait_for(lock, most, [&] { return state_.error || state_.reached != before; });
    return state_;
}

void ChangePump::run(std::stop_token stop) {
    Status status;
    try {
        status = pump(stop);
    } catch (const std::exception& error) {
        status = fail({.kind = ErrorKind::internal,
                       .code = "pump_threw",
                       .message = fmt::format("reading the change stream failed: {}", error.what())});
    }
    std::lock_guard lock(mutex_);
    if (!status) state_.error = std::move(status.error());
    changed_.notify_all();
}

Status ChangePump::pump(std::stop_token stop) {
    ReplicationStream::Received received;
    while (!stop.stop_requested()) {
        while (log_.usage().queued_bytes > pause_bytes_ && !stop.stop_requested())
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        Lsn ended;
        for (int i = 0; i < most_messages && ended == 0; ++i) {
            PN_TRY(auto got, stream_.receive(received, glance));
            if (got == ReplicationStream::Got::end) return {};
            if (got == ReplicationStream::Got::timeout) break;
            PN_FAILPOINT(changes_receive_after);
            PN_TRY(ended, intake_->take(received));
        }
        std::lock_guard lock(mutex_);
        state_.reached = std::max<uint64_t>({state_.reached, ended, stream_.server_end()});
        changed_.notify_all();
    }
    return {};
}

}  // namespace penstock::postgres
