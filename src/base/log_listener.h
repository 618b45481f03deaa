#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace penstock::log {

/// Hears what is logged of a run while it lives, from info on, whatever the level of the log is.
class Listener {
  public:
    /// Called from any thread, one at a time, with the line as the JSON log has it, without secrets and cut where it is longer than
    /// `most_heard`. It must be quick and not log.
    using Hear = std::function<void(std::string line)>;
    /// `hears_strays`: also lines of threads without a Scope, where nothing else than this run can have made them.
    Listener(std::string run_id, bool hears_strays, Hear hear);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    void hear(Level level, std::string_view message, std::string_view metadata_json) const;
    bool hears(std::string_view run_id) const { return run_id == run_id_ || (run_id.empty() && hears_strays_); }

  private:
    std::string run_id_;
    bool hears_strays_;
    Hear hear_;
};

inline constexpr size_t most_heard = 4096;

}  // namespace penstock::log
