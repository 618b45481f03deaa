#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "app/operate/news.h"
#include "app/schedule/children.h"
#include "app/schedule/scheduler.h"
#include "app/schedule/sensors.h"

namespace penstock::app {

/// The scheduler of a server: a thread that looks, and the processes that it begins.
class Schedules {
  public:
    /// The document must outlive this; it is as `read_project` gives it. `others` as for Children.
    Schedules(const Session& session, const config::Document& document, std::function<size_t()> others);
    ~Schedules();

    Status open();
    bool leads() const { return leads_; }
    size_t running() const { return children_.tokens().size(); }
    /// Begins nothing from now on.
    void hold() { held_ = true; }
    /// Returns when nothing of it runs: what does has until then before it is asked to stop.
    void drain(std::chrono::steady_clock::time_point until);

  private:
    void keep_looking(std::stop_token stop);

    const config::Document& document_;
    Children children_;
    Sensors sensors_;
    News news_;
    std::unique_ptr<Scheduler> scheduler_;
    std::atomic<bool> leads_ = false, held_ = false;
    std::jthread looking_;
};

}  // namespace penstock::app
