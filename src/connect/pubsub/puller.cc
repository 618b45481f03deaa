#include "connect/pubsub/puller.h"

#include <algorithm>
#include <condition_variable>

#include "base/humane.h"
#include "base/log.h"

namespace penstock::pubsub {
namespace {

/// A stream that lives for as long as this has been connected: nobody tries to connect for so long.
constexpr auto surely_connected = std::chrono::seconds(30);
constexpr int most_pulled = 1000;

}  // namespace

void Puller::start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Puller::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

std::optional<Error> Puller::failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
}

std::optional<Puller::Clock::time_point> Puller::in_reach_since() const {
    std::lock_guard lock(mutex_);
    return in_reach_since_;
}

uint64_t Puller::came() const {
    auto counts = deliveries_.counts();
    return counts.taken + counts.repeated;
}

CallStatus Puller::fetch(const std::stop_token& stop) {
    if (options_.streaming)
        return subscriber_.stream(
            {.lease = options_.lease,
             .outstanding_messages = options_.outstanding_messages,
             .outstanding_bytes = options_.outstanding_bytes,
             .client_id = options_.client_id},
            [&](ReceivedList& received) { deliveries_.take(received, Clock::now() + options_.lease, stop); }, stop);
    if (!deliveries_.wait_for_room(stop)) return {.code = Code::cancelled};
    ReceivedList received;
    auto asked = Clock::now();
    auto status = subscriber_.pull(most_pulled, received, stop);
    // Counted from before the call: how much of it the service waited before it leased them is not known.
    deliveries_.take(received, std::max(asked, Clock::now() - std::chrono::seconds(1)) + options_.ack_deadline, stop);
    // Nothing came for as long as a call may take.
    if (status.code == Code::deadline_exceeded) return {};
    return status;
}

void Puller::wait(std::chrono::microseconds delay, const std::stop_token& stop) const {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_for(lock, stop, delay, [] { return false; });
}

void Puller::run(const std::stop_token& stop) {
    int failures = 0;
    Clock::time_point failing_since{};
    while (!stop.stop_requested()) {
        auto begun = Clock::now();
        uint64_t before = came();
        auto status = come_back(stop);
        if (status.ok()) status = fetch(stop);
        if (stop.stop_requested()) return;
        bool worked = came() != before || Clock::now() - begun > surely_connected;
        if (worked || (status.ok() && !options_.streaming)) failures = 0;
        if (status.ok() && (worked || !options_.streaming)) continue;
        if (failures++ == 0) failing_since = Clock::now();
        // A stream ends now and then, by the service's will: that is no trouble.
        if (!status.ok() && give_up(status, failing_since)) return;
        if (failures == 2)
            log::warning("{}; trying again for {}", call_error(status, "receive messages").message,
                         humane_duration(options_.retry_for));
        wait(std::min(options_.first_delay * (1 << std::min(failures - 1, 20)), options_.longest_delay), stop);
    }
}

bool Puller::give_up(const CallStatus& status, Clock::time_point failing_since) {
    std::lock_guard lock(mutex_);
    in_reach_since_.reset();
    if (worth_repeating(status.code) && Clock::now() - failing_since < options_.retry_for) return false;
    failure_ = call_error(status, "receive messages");
    return true;
}

/// A stream does not say that it is open before a message comes by it. Whether there is somebody at the other end, another
/// call tells: an answer, whatever it is.
CallStatus Puller::come_back(const std::stop_token& stop) {
    if (in_reach_since()) return {};
    auto seen = subscriber_.look(stop);
    if (!seen && seen.error().kind == ErrorKind::unavailable)
        return {.code = Code::unavailable, .message = seen.error().message};
    std::lock_guard lock(mutex_);
    in_reach_since_ = Clock::now();
    return {};
}

}  // namespace penstock::pubsub
