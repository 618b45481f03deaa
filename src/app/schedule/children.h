#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <mutex>

#include "app/commands.h"
#include "app/schedule/scheduler.h"

namespace penstock::app {

/// Scheduled runs as processes of their own (`penstock run … --interval TOKEN`): one that crashes or takes too much memory
/// takes nobody with it. They outlive this process: what they did they put on record themselves, and the next leader sees by their
/// lock that they live. Any thread.
class Children : public Runs {
  public:
    /// `others` says how many of the workers are taken by something else.
    Children(const Session& session, size_t workers, std::function<size_t()> others);

    size_t room() const override;
    Status start(const schedule::Interval& interval, const std::string& token) override;
    std::vector<Ended> ended() override;
    std::set<std::string> tokens() const override;

    /// SIGTERM asks all to stop, SIGKILL does not ask; what they have not committed is taken back either way.
    void stop(int signal);

  private:
    const Session& session_;
    const size_t workers_;
    const std::function<size_t()> others_;
    mutable std::mutex mutex_;
    std::map<pid_t, std::string> running_;  ///< tokens
};

}  // namespace penstock::app
