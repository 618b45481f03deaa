#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flow/runner.h"

namespace penstock::flow {

/// What a run remembers of one table across its attempts.
class TableState {
  public:
    TableState(const TableTarget& target, RejectPolicy policy);

    Progress progress;
    RejectLog rejects;
    TableResult result;
    bool durable = false;  ///< something of it was committed in this run
    bool done = false;     ///< nothing more of it comes in this run
    bool ended = false;    ///< the observer was told

    /// What the segment under way adds: the sink's counts, with rows read, rejected and filtered as was told on the way.
    Counts segment_counts(const Counts& loaded) const;
    /// The segment is durable.
    void settle(const Counts& counts, const Checkpoint& checkpoint, bool last);
    /// The segment was taken back; its rows will be read again.
    void rewind();

  private:
    int64_t settled_rows_ = 0;
    int64_t settled_filtered_ = 0;
    int64_t settled_bytes_ = 0;
};

/// The tables of a run by their source name, in the order in which they were found.
class TableStates {
  public:
    TableState& of(const TableTarget& target, RejectPolicy policy);
    const TableState* find(const std::string& source) const;
    const std::vector<std::unique_ptr<TableState>>& all() const { return states_; }

  private:
    std::vector<std::unique_ptr<TableState>> states_;
    std::map<std::string, TableState*> by_source_;
};

}  // namespace penstock::flow
