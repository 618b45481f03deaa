#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "connect/postgres/capture/change_intake.h"
#include "connect/postgres/capture/change_log.h"
#include "connect/postgres/replication/replication_stream.h"

namespace penstock::postgres {

/// Reads the stream into the log, on a thread of its own:
///
///     ReplicationStream -> ChangeIntake (the plugin's messages; which table, which shape) -> ChangeLog
///
/// so that the server decodes while the target is written.
class ChangePump {
  public:
    /// `pause_bytes`: of committed changes that wait; past it the server waits too.
    ChangePump(ReplicationStream& stream, ChangeLog& log, std::unique_ptr<ChangeIntake> intake, uint64_t pause_bytes);
    ~ChangePump();
    ChangePump(const ChangePump&) = delete;
    ChangePump& operator=(const ChangePump&) = delete;

    struct State {
        Lsn reached;                 ///< all that committed before it is in the log, or was not for us
        std::optional<Error> error;  ///< the pump has stopped
    };
    /// Waits until something may have changed, at most so long.
    State wait(std::chrono::steady_clock::duration most);

  private:
    void run(std::stop_token stop);
    Status pump(std::stop_token stop);

    ReplicationStream& stream_;
    ChangeLog& log_;
    std::unique_ptr<ChangeIntake> intake_;
    uint64_t pause_bytes_;
    std::mutex mutex_;
    std::condition_variable changed_;
    State state_;
    std::jthread thread_;
};

}  // namespace penstock::postgres
