#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/progress_line.h"
#include "flow/runner.h"

namespace penstock::app {

/// Shows a run while it goes on. On a terminal: a line for each table being loaded, redrawn in place ten times a second and
/// gone at the end. Elsewhere: a log line when a table begins and ends. One at a time, because a terminal is one.
class ProgressDisplay : public flow::RunObserver {
  public:
    enum class Style { lines, log, none };
    explicit ProgressDisplay(Style style);
    ~ProgressDisplay() override;
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;

    void tables_planned(const std::vector<flow::TableTarget>& tables,
                        const std::vector<flow::TablePlan>& plans) override;
    void table_started(const flow::TableTarget& table, const flow::Progress& progress) override;
    void table_ended(const flow::TableResult& result) override;
    void retrying(const Error& error, std::chrono::microseconds delay, int attempt, int max_attempts) override;
    void run_ended() override;

  private:
    struct Active {
        const flow::Progress* progress;
        int64_t estimated_rows;
        std::chrono::steady_clock::time_point started;
        Pace pace;
    };

    void paint_until(std::stop_token stop);
    std::vector<std::string> lines();
    void draw();
    void clear();

    const Style style_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::map<std::string, Active> active_;
    size_t tables_ = 0;
    size_t ended_ = 0;
    size_t drawn_ = 0;
    std::jthread painter_;
};

}  // namespace penstock::app
