#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "flow/runner.h"
#include "flow/table_state.h"

namespace penstock::flow {

class SharedSource;

/// A commit whose answer never came. The next attempt's plan shows whether it arrived.
struct UnansweredCommit {
    std::string source;
    std::optional<Checkpoint> before;
    Checkpoint checkpoint;
    Counts counts;
    bool last = false;
};

/// One try of a run with a source and a sink of its own, from the first connection to the last commit. The steps are
/// called in the order in which they stand.
class Attempt {
  public:
    Attempt(const RunRequest& request, TableStates& states, std::vector<UnansweredCommit>& unanswered,
            std::stop_token stop)
        : request_(request), states_(states), unanswered_(unanswered), stop_(std::move(stop)) {}

    /// Builds source and sink, finds the tables and what is to be done with each.
    Status connect_and_plan();
    /// Counts what an earlier attempt committed without hearing so.
    void recognise_unanswered();
    /// What the checks of each table will be charged, as far as that is known.
    Result<std::vector<Expected>> price_checks();
    /// Of a run with a budget: leaves it that.
    Status set_aside_for_checks();
    /// Fixes what is read: every table that is not done, from its checkpoint on.
    Status open();
    /// Reads, loads and commits to the end of the source.
    Status run_segments();
    /// Tells the observer of the tables that had nothing to read.
    void end_tables();

    /// A commit became durable: the next failure counts as the first again.
    bool progressed() const { return progressed_; }
    Spending spent() const {
        Spending sum;
        if (sink_ != nullptr) sum += sink_->spent();
        if (source_ != nullptr) sum += source_->spent();
        return sum;
    }
    const std::vector<TableTarget>& targets() const { return targets_; }
    const std::vector<TablePlan>& plans() const { return plans_; }

  private:
    /// What one table has loaded in the segment under way.
    struct Loaded {
        size_t target;
        Counts counts = {};
        Checkpoint checkpoint = {};
        bool last = false;
    };

    Status make_targets(const std::vector<TableInfo>& infos);
    Status run_segment(Segment& segment);
    Status write(Segment& segment, std::vector<Loaded>& loaded);
    Status check_tables(const std::vector<Loaded>& loaded);
    Status check_committed(const std::vector<Loaded>& loaded);
    Status keep_validations(bool published);
    void record_alone(bool published);
    Status give_up(const std::vector<Loaded>& loaded, Error error);
    Result<bool> set_aside(const Error& error);
    Status load_segment(Segment& segment, std::vector<Loaded>& loaded);
    static Result<Counts> take_rejects(Scan& scan, const TableState& table);
    Status load_part(Part& part, Loaded& loaded);
    Status check_accounts(std::vector<Loaded>& loaded);
    Status may_commit() const;
    Status commit(const std::vector<Loaded>& loaded);
    Status confirm(const std::vector<Loaded>& loaded, const std::optional<Checkpoint>& stream);
    Status mark_anew();
    void take_back(const std::vector<Loaded>& loaded);
    void end_table(TableState& state);

    TableState& state(size_t target) { return states_.of(targets_[target], request_.rejects); }
    ScanContext context(TableState& table) { return {table.progress, table.rejects, stop_}; }
    bool reads_from_checkpoint(size_t target);
    /// Of a source whose stream other processes share; else null.
    SharedSource* shared_part();

    const RunRequest& request_;
    TableStates& states_;
    std::vector<UnansweredCommit>& unanswered_;
    std::stop_token stop_;
    std::vector<TableTarget> targets_;
    std::vector<TablePlan> plans_;
    bool progressed_ = false;
    std::optional<size_t> failed_;  ///< the table whose part could not be loaded
    std::unique_ptr<Sink> sink_;
    std::unique_ptr<Source> source_;
};

/// The error with the table it happened in.
Error in_table(Error error, const std::string& table);
Error interrupted();

}  // namespace penstock::flow
