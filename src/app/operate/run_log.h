#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "app/operate/kept_lines.h"
#include "base/log_listener.h"
#include "flow/runner.h"

namespace penstock::app {

/// Keeps what a run logs with the run, in the state: written about once a second by a thread of its own, so that neither the run waits for
/// it nor a kill costs more than the last second. What cannot be written costs the log its lines, never the run.
class RunLog {
  public:
    /// `shares_process`: other runs may go on in this process, so lines of threads that do not say whose they are, are nobody's.
    RunLog(const flow::RunIdentity& run, state::RunLogs logs, bool shares_process);
    /// Writes what is left.
    ~RunLog();

    /// The run is in the history. Where it never is, nothing is kept.
    void begun();
    /// What ended it, which others say only when it has.
    void ended(const Error& error);

  private:
    void keep_writing(const std::stop_token& stop);
    void write_out(std::unique_lock<std::mutex>& lock);

    const std::string run_id_;
    state::RunLogs logs_;  ///< the thread's
    std::mutex mutex_;
    std::condition_variable_any wake_;
    KeptLines lines_;
    bool begun_ = false;
    std::optional<Error> trouble_;
    std::optional<log::Listener> listener_;
    std::jthread writing_;
};

}  // namespace penstock::app
