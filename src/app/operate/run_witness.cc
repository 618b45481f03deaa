#include "app/operate/run_witness.h"

#include <algorithm>

#include "app/lineage/record.h"
#include "app/telemetry/exporter.h"
#include "state/lock.h"

namespace penstock::app {
namespace {

/// Nobody reads more of them, and a stream that follows may meet any number.
constexpr size_t most_retries = 100;

}  // namespace

RunWitness::RunWitness(const Pipeline& pipeline, flow::RunIdentity identity, state::RunCause cause,
                       flow::RunObserver* display)
    : story_{.pipeline = pipeline, .identity = std::move(identity), .cause = std::move(cause)}, display_(display) {}

void RunWitness::begun(const std::vector<state::GoneRun>& gone) {
    story_.began = state::lease_clock();
    record_gone(story_, gone);
    record_begin(story_);
}

void RunWitness::ended(const flow::RunResult& result) {
    story_.ended = state::lease_clock();
    record_end(story_, result);
    telemetry::keep_trace(story_, result);
}

RunStory::Table* RunWitness::table_of(const std::string& source, const std::string& target) {
    auto found = std::ranges::find_if(story_.tables, [&](const auto& one) { return one.is(source, target); });
    return found == story_.tables.end() ? nullptr : &*found;
}

void RunWitness::tables_planned(const std::vector<flow::TableTarget>& tables,
                                const std::vector<flow::TablePlan>& plans) {
    if (display_ != nullptr) display_->tables_planned(tables, plans);
    story_.planned = state::lease_clock();
    for (size_t i = 0; i < tables.size(); ++i) {
        if (tables[i].info.rejects_only || table_of(tables[i].info.name, tables[i].name) != nullptr) continue;
        story_.tables.push_back({.target = tables[i], .plan = plans[i]});
    }
    if (story_.pipeline.follows()) record_plan(story_);
}

void RunWitness::table_started(const flow::TableTarget& table, const flow::Progress& progress) {
    if (display_ != nullptr) display_->table_started(table, progress);
    if (auto* known = table_of(table.info.name, table.name); known != nullptr && known->began == TimePoint{})
        known->began = state::lease_clock();
}

void RunWitness::table_ended(const flow::TableResult& result) {
    if (display_ != nullptr) display_->table_ended(result);
    if (auto* known = table_of(result.source, result.target)) known->ended = state::lease_clock();
}

void RunWitness::retrying(const Error& error, std::chrono::microseconds delay, int attempt, int max_attempts) {
    if (display_ != nullptr) display_->retrying(error, delay, attempt, max_attempts);
    if (story_.retries.size() < most_retries)
        story_.retries.push_back(
            {.at = state::lease_clock(), .code = error.code, .message = error.message, .attempt = attempt});
}

void RunWitness::run_ended() {
    if (display_ != nullptr) display_->run_ended();
}

}  // namespace penstock::app
