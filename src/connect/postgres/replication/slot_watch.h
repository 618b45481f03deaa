#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "connect/postgres/replication/slot.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

struct SlotWatchOptions {
    ConnectionOptions connection;
    std::string purpose;
    std::string pipeline;
    std::string slot;
    uint64_t low_room = 0;                          ///< see `low_room:`
    std::optional<std::chrono::microseconds> beat;  ///< see `heartbeat:`
    std::string beat_table;
    uint64_t most_kept = 0;  ///< see `most_kept:`
    std::chrono::milliseconds first_look =
        std::chrono::seconds(2);  ///< most drains are over by then, without a connection more
    std::chrono::milliseconds between_looks = std::chrono::seconds(2);
};

/// Looks after a slot while its stream is read, on a thread and a connection of its own, so that whoever applies the changes
/// never waits for it: warns when the server's log runs out for the slot, says when to hurry, has the server let go of what is
/// confirmed, and beats the heart. Nothing that fails here ends the run: it is logged, and tried again.
class SlotWatch {
  public:
    explicit SlotWatch(SlotWatchOptions options);
    ~SlotWatch();
    SlotWatch(const SlotWatch&) = delete;
    SlotWatch& operator=(const SlotWatch&) = delete;

    /// Little room is left: what has been received should be made durable and confirmed at once. Any thread.
    bool hurried() const { return hurried_.load(std::memory_order_relaxed); }

  private:
    using Clock = std::chrono::steady_clock;

    void run(std::stop_token stop);
    Status work(const std::stop_token& stop);
    Status look();
    void judge_room(const SlotState& slot);
    Status let_go(const SlotState& slot);
    Status mark();
    Status beat();
    Status in_time(const std::string& sql);
    void warn(const std::string& code, const std::string& sentence);

    SlotWatchOptions options_;
    std::atomic<bool> hurried_ = false;
    std::unique_ptr<Session> session_;
    std::mutex session_mutex_;       ///< held while session_ is set, and while a stop cuts its socket
    std::optional<int64_t> before_;  ///< room then
    Clock::time_point before_at_;
    double falls_ = 0;  ///< bytes of room a second
    Clock::time_point looked_at_, beaten_at_, mark_at_;
    Lsn marked_;             ///< where the slot was kept from when a mark was asked for
    int marks_in_vain_ = 0;  ///< one after the other
    std::map<std::string, Clock::time_point> warned_;
    std::jthread thread_;
};

}  // namespace penstock::postgres
