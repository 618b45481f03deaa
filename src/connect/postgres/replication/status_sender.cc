#include "connect/postgres/replication/status_sender.h"

#include "base/clock.h"
#include "base/log.h"
#include "connect/postgres/wire.h"

namespace penstock::postgres {
namespace {

/// What became durable is told at most so often: the server may keep its log a little longer.
constexpr auto news = std::chrono::seconds(1);
/// Between two in a hurry: the server reads all that have come before it sends on.
constexpr auto spacing = std::chrono::milliseconds(5);

void put(std::string& out, uint64_t value) {
    value = std::byteswap(value);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

StatusSender::StatusSender(WireSocket& socket, milliseconds interval) : socket_(socket), interval_(interval) {}

void StatusSender::start() {
    sent_at_ = WireSocket::Clock::now();
    thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
}

void StatusSender::stop() {
    {
        std::lock_guard lock(mutex_);
        thread_.request_stop();
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void StatusSender::confirm(Lsn flushed) {
    std::lock_guard lock(mutex_);
    uint64_t most = std::min<uint64_t>(flushed, received());
    if (most <= confirmed_) return;
    confirmed_ = most;
    fresh_ = true;
    wake_.notify_one();
}

void StatusSender::hurry(bool asking) {
    std::lock_guard lock(mutex_);
    hurry_ = true;
    asking_ = asking_ || asking;
    wake_.notify_one();
}

Status StatusSender::send_now() {
    std::string status;
    {
        std::lock_guard lock(mutex_);
        status = message();
    }
    return socket_.send(status, {});
}

void StatusSender::run(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (WireSocket::Clock::now() < due()) {
            wake_.wait_until(lock, due());
            continue;
        }
        auto status = message();
        lock.unlock();
        auto sent = socket_.send(status, stop);
        // Whoever receives meets the same end, after what is still to be read.
        if (!sent) return log::debug("no status could be sent: {}", sent.error().message);
        lock.lock();
    }
}

/// Under the mutex.
WireSocket::Clock::time_point StatusSender::due() const {
    if (hurry_) return sent_at_ + std::min<milliseconds>(interval_, spacing);
    return sent_at_ + (fresh_ ? std::min<milliseconds>(interval_, news) : interval_);
}

/// Standby status update, under the mutex. Source: PostgreSQL documentation, "Streaming Replication Protocol".
std::string StatusSender::message() {
    std::string out = {'d', 0, 0, 0, 38, 'r'};
    put(out, received());
    put(out, confirmed_);
    put(out, confirmed_);
    put(out, static_cast<uint64_t>(now().time_since_epoch().count() - epoch_micros));
    out += asking_ ? '\1' : '\0';
    hurry_ = asking_ = fresh_ = false;
    sent_at_ = WireSocket::Clock::now();
    return out;
}

}  // namespace penstock::postgres
