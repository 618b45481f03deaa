#include "connect/pubsub/publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/failpoint.h"
#include "base/humane.h"
#include "base/log.h"

namespace penstock::pubsub {
namespace {

/// A message's tag and length in a request, at most.
constexpr size_t around_message = 6;
/// How long a wait goes on without looking whether the run was stopped.
constexpr auto look_every = std::chrono::milliseconds(50);

size_t around_request(const std::string& topic) { return topic.size() + around_message; }

}  // namespace

bool Publisher::fits(const std::string& topic, const Message& message, size_t& bytes) {
    bytes = message.ByteSizeLong() + around_message;
    return around_request(topic) + bytes <= most_request_bytes;
}

Status Publisher::publish(const std::string& topic, Message message, const std::stop_token& stop) {
    size_t bytes = message.ByteSizeLong() + around_message;
    Lock lock(mutex_);
    while (!error_ && held_bytes_ > 0 && held_bytes_ + bytes > limits_.held_bytes) {
        close_aged(true);  // what waits for company makes no room
        PN_CHECK(wait(lock, stop));
    }
    if (error_) return fail(*error_);
    auto lane = lane_of(topic, message.ordering_key());  // before the message is moved
    add(lane, std::move(message), bytes);
    close_aged(false);
    send_what_may_go(lock);
    return {};
}

Status Publisher::flush(const std::stop_token& stop) {
    Lock lock(mutex_);
    close_aged(true);
    while (!error_ && held_bytes_ > 0) PN_CHECK(wait(lock, stop));
    if (error_) return fail(*error_);
    return {};
}

void Publisher::abort() noexcept {
    Lock lock(mutex_);
    aborting_ = true;
    opened_.clear();
    ready_.clear();
    put_off_.clear();
    lanes_.clear();
    while (!on_their_way_.empty()) {
        lock.unlock();
        transport_.cancel();
        lock.lock();
        changed_.wait_for(lock, look_every, [&] { return on_their_way_.empty(); });
    }
    held_bytes_ = 0;
    error_.reset();
    aborting_ = false;
}

/// Sends what may go, and waits for something to change: an answer, or that something put off is due.
Status Publisher::wait(Lock& lock, const std::stop_token& stop) {
    if (stop.stop_requested())
        return fail({.kind = ErrorKind::interrupted,
                     .code = "interrupted",
                     .message = "stopped while messages were on their way"});
    send_what_may_go(lock);
    if (error_ || held_bytes_ == 0) return {};
    auto until = Clock::now() + look_every;
    if (!put_off_.empty()) until = std::min(until, put_off_.begin()->first);
    changed_.wait_until(lock, until);
    return {};
}

std::shared_ptr<Publisher::Lane> Publisher::lane_of(const std::string& topic, const std::string& key) {
    auto& lane = lanes_[{topic, key}];
    if (!lane) {
        lane = std::make_shared<Lane>();
        lane->topic = topic;
        lane->key = key;
    }
    return lane;
}

void Publisher::add(const std::shared_ptr<Lane>& lane, Message message, size_t bytes) {
    size_t most = std::min(limits_.request_bytes, most_request_bytes - around_request(lane->topic));
    if (lane->open && lane->open->bytes + bytes > most) close(lane);
    if (!lane->open) {
        lane->open = std::make_unique<Batch>();
        lane->open->request.set_topic(lane->topic);
        lane->open->opened = Clock::now();
        opened_.emplace_back(lane->open->opened, lane);
    }
    *lane->open->request.add_messages() = std::move(message);
    lane->open->bytes += bytes;
    held_bytes_ += bytes;
    size_t count = static_cast<size_t>(lane->open->request.messages_size());
    if (count >= std::min(limits_.request_messages, most_request_messages) || lane->open->bytes >= most) close(lane);
}

void Publisher::close(const std::shared_ptr<Lane>& lane) {
    if (!lane->open) return;
    lane->closed.push_back(std::move(lane->open));
    list(lane);
}

/// Those that have waited long enough for company, or all.
void Publisher::close_aged(bool all) {
    auto now = Clock::now();
    while (!opened_.empty() && (all || now - opened_.front().first >= limits_.latency)) {
        auto [opened, weak] = opened_.front();
        opened_.pop_front();
        auto lane = weak.lock();
        if (lane && lane->open && lane->open->opened == opened) close(lane);
    }
}

void Publisher::list(const std::shared_ptr<Lane>& lane) {
    if (lane->listed || lane->busy || lane->closed.empty()) return;
    lane->listed = true;
    ready_.push_back(lane);
}

void Publisher::send_what_may_go(Lock& lock) {
    auto now = Clock::now();
    while (!error_ && !aborting_ && on_their_way_.size() < limits_.requests) {
        if (!put_off_.empty() && put_off_.begin()->first <= now) {
            auto node = put_off_.extract(put_off_.begin());
            send(std::move(node.mapped()), lock);
            continue;
        }
        if (ready_.empty()) return;
        auto lane = std::move(ready_.front());
        ready_.pop_front();
        lane->listed = false;
        auto batch = std::move(lane->closed.front());
        lane->closed.pop_front();
        if (!lane->key.empty()) lane->busy = true;
        batch->lane = lane;
        list(lane);
        send(std::move(batch), lock);
    }
}

/// The lock is let go meanwhile: the answer may come before the call returns.
void Publisher::send(std::unique_ptr<Batch> batch, Lock& lock) {
    Batch* sent = batch.get();
    on_their_way_.emplace(sent, std::move(batch));
    lock.unlock();
    transport_.publish(sent->request, [this, sent](CallStatus status) { answered(sent, std::move(status)); });
    lock.lock();
}

void Publisher::answered(Batch* sent, CallStatus status) {
    Lock lock(mutex_);
    auto node = on_their_way_.extract(sent);
    auto batch = std::move(node.mapped());
    if (aborting_ || error_) {
        // Nobody asks for it any more.
    } else if (status.ok()) {
        acknowledged(std::move(batch));
    } else {
        put_off(std::move(batch), status);
    }
    changed_.notify_all();
}

void Publisher::acknowledged(std::unique_ptr<Batch> batch) {
    if (failpoints_armed) [[unlikely]]
        if (auto hit = hit_failpoint(Failpoint::target_publish_during); !hit) error_ = std::move(hit.error());
    held_bytes_ -= batch->bytes;
    auto lane = std::move(batch->lane);
    lane->busy = false;
    list(lane);
    if (!lane->open && lane->closed.empty()) lanes_.erase({lane->topic, lane->key});
}

/// The batch keeps its place: an ordered lane stays busy meanwhile.
void Publisher::put_off(std::unique_ptr<Batch> batch, const CallStatus& status) {
    auto now = Clock::now();
    if (batch->failures++ == 0) batch->first_failure = now;
    bool over = now - batch->first_failure >= limits_.retry_for;
    if (!worth_repeating(status.code) || over) {
        error_ = call_error(status, "publish to " + batch->lane->topic);
        if (over && batch->failures > 1)
            error_->message += fmt::format(", for {}", humane_duration(now - batch->first_failure));
        return;
    }
    if (!warned_)
        log::warning("Pub/Sub answered {} to a publish to {}: it is sent again{}{}", name_of(status.code),
                     batch->lane->topic, status.message.empty() ? "" : ". It says: ", status.message);
    warned_ = true;
    double delay = static_cast<double>(limits_.first_delay.count()) * std::pow(2.0, std::min(batch->failures - 1, 30));
    delay = std::min(delay, static_cast<double>(limits_.longest_delay.count()));
    put_off_.emplace(now + std::chrono::microseconds(static_cast<int64_t>(delay)), std::move(batch));
}

}  // namespace penstock::pubsub
