#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/wire_socket.h"

namespace penstock::postgres {

/// Tells the server how far we are, from a thread of its own: a server that hears nothing for wal_sender_timeout ends the
/// stream, and whoever applies changes may be busy with one for longer. A status goes out every `interval`, at once when the
/// server asks, and within a second when more is durable. Every function may be called from any thread.
class StatusSender {
  public:
    using milliseconds = std::chrono::milliseconds;

    StatusSender(WireSocket& socket, milliseconds interval);
    ~StatusSender() { stop(); }

    void start();

    /// Ends the thread; nothing is sent any more by itself.
    void stop();

    /// All that the server sent up to here is with us; never goes back.
    void received(Lsn end) {
        received_.store(std::max<uint64_t>(received_.load(std::memory_order_relaxed), end), std::memory_order_relaxed);
    }
    Lsn received() const { return received_.load(std::memory_order_relaxed); }

    /// All up to here is durable; never goes back, nor past what was received.
    void confirm(Lsn flushed);

    /// A status at once (within 5 ms of the last); `asking`, for a keepalive in return.
    void hurry(bool asking);

    /// Sends the present status from the caller's thread.
    Status send_now();

  private:
    void run(std::stop_token stop);
    WireSocket::Clock::time_point due() const;
    std::string message();

    WireSocket& socket_;
    milliseconds interval_;
    std::atomic<uint64_t> received_ = 0;
    std::mutex mutex_;
    std::condition_variable wake_;
    Lsn confirmed_;
    bool fresh_ = false;  ///< confirmed_ is not told yet
    bool hurry_ = false;
    bool asking_ = false;
    WireSocket::Clock::time_point sent_at_ = {};
    std::jthread thread_;
};

}  // namespace penstock::postgres
