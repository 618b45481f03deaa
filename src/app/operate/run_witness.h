#pragma once

#include "app/operate/run_story.h"

namespace penstock::app {

/// Watches a run for those outside who follow it: OpenLineage and OpenTelemetry. What cannot be told is said in the log; a run
/// does not wait for it and does not fail of it. Calls come from the run's thread.
class RunWitness : public flow::RunObserver {
  public:
    /// `display` is told everything, too; it may be null. Both must outlive this.
    RunWitness(const Pipeline& pipeline, flow::RunIdentity identity, state::RunCause cause, flow::RunObserver* display);

    /// The run is on record; `gone` are those before it of which nobody could say that they ended.
    void begun(const std::vector<state::GoneRun>& gone);
    /// Right before its end is on record.
    void ended(const flow::RunResult& result);

    void tables_planned(const std::vector<flow::TableTarget>& tables,
                        const std::vector<flow::TablePlan>& plans) override;
    void table_started(const flow::TableTarget& table, const flow::Progress& progress) override;
    void table_ended(const flow::TableResult& result) override;
    void retrying(const Error& error, std::chrono::microseconds delay, int attempt, int max_attempts) override;
    void run_ended() override;

  private:
    RunStory::Table* table_of(const std::string& source, const std::string& target);

    RunStory story_;
    flow::RunObserver* display_;
};

}  // namespace penstock::app
