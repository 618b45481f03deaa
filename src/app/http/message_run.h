#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "app/http/invocations.h"

namespace penstock::app::http {

/// Messages that mean the same pipeline run it one after the other, rather than fail over its lock. Any thread.
class Turns {
  public:
    /// False when it was stopped first.
    bool take(const std::string& pipeline, std::stop_token stop) {
        std::unique_lock lock(mutex_);
        if (!free_.wait(lock, std::move(stop), [&] { return !taken_.contains(pipeline); })) return false;
        return taken_.insert(pipeline).second;
    }
    void leave(const std::string& pipeline) {
        std::lock_guard lock(mutex_);
        taken_.erase(pipeline);
        free_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable_any free_;
    std::set<std::string> taken_;
};

/// Runs every pipeline that the message stands for and that has not ended for
/// good in an earlier delivery, one after the other, and puts on record what
/// became of them. The answer for whoever waits. One thread; `message` is
/// claimed.
Response run_message(const config::Document& document, state::Message& message, const Parameters& parameters,
                     Turns& turns, std::stop_token stop);

/// A message that nobody began: its sender delivers it again, or the next
/// process goes on with it.
void give_back(const config::Document& document, Invocations::Order& order);

}  // namespace penstock::app::http
