#pragma once

#include <string>
#include <vector>

#include "app/schedule/scheduler.h"
#include "config/document.h"
#include "flow/runner.h"
#include "state/store.h"

namespace penstock::app {

/// Decides what of runs and of the schedule is news for whom (`notify`), and leaves it in the state, from where Courier carries it. What
/// cannot be left there is said in the log: a run is not a failure because nobody can be told of it. The document must outlive
/// this. One thread.
class News {
  public:
    explicit News(const config::Document& document) : document_(document) {}

    /// A run that has ended and is on record; `cause` is why it was begun. A scheduled one is told of by the attempt at its interval.
    void run_ended(const flow::RunResult& result, const state::RunCause& cause, state::Store& store) const;
    /// A drill of this backup has failed, for these reasons.
    void drill_failed(const config::Backup& backup, const std::string& drill,
                      const std::vector<std::string>& why) const;
    /// A backup that the scheduler began, by this token, has failed.
    void backup_failed(const config::Backup& backup, const std::string& token, const Error& error) const;
    /// A comparison of source and target that was made by schedule has found them to differ, or could not be made.
    void verify_failed(const config::PipelineConfig& pipeline, const std::string& token,
                       const std::vector<std::string>& why) const;
    /// Of these what runs cannot say of themselves: that they died, are late, or were missed.
    void scheduled(const ScheduleEvent& event) const;

  private:
    struct Item;
    void tell_of_budget(const flow::RunResult& result, const config::Notify& notify, Item item) const;
    void tell(const std::vector<config::Text>& receivers, const config::Notify& notify, const Item& item) const;

    const config::Document& document_;
};

/// Whether any pipeline of the file tells anybody anything.
bool tells_anybody(const config::Document& document);

}  // namespace penstock::app
