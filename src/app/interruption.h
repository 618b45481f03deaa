#pragma once

#include <stop_token>
#include <thread>

namespace penstock::app {

/// Turns the first SIGINT or SIGTERM into a stop request; the second one kills. Made in main before any other thread, so
/// that all of them leave these signals to this one.
class Interruption {
  public:
    Interruption();
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    std::stop_token token() const { return stop_.get_token(); }

  private:
    void watch();

    std::stop_source stop_;
    int signals_ = -1;
    int ended_ = -1;
    std::thread watcher_;
};

/// In a child process before exec: signals as the shell had them.
void restore_signals();

}  // namespace penstock::app
