#pragma once

#include <functional>
#include <string>
#include <vector>

#include "connect/bigquery/change_sql.h"
#include "connect/bigquery/local_stage.h"
#include "engine/changes/unsent_values.h"
#include "engine/scan_function.h"

namespace penstock::bigquery {

/// A part of changes on this machine, up to the files that are loaded: rejects are found, changes of one key coalesced, what was not
/// sent is looked for among the changes themselves (engine/changes).
class ChangeStage {
  public:
    /// Keys of rows that changes refer to, in a file: which of them the target has not, by their numbers.
    using Ask = std::function<Result<std::vector<int64_t>>(const StagedFiles& keys)>;

    ChangeStage(LocalStage& stage, engine::Connection& connection, const StagedLoad& load,
                const flow::ScanContext& context)
        : stage_(stage), connection_(connection), load_(load), context_(context) {}

    /// Rows of a snapshot, or of a whole table: as they come.
    Result<StagedFiles> write_snapshot(flow::Scan& scan, ChangeSet& changes);
    /// Pulls the scan to its end. `counts` has what is known without the target's rows.
    Result<StagedFiles> write(engine::Database& database, flow::Scan& scan, ChangeSet& changes, flow::Counts& counts,
                              const Ask& ask);

  private:
    Result<StagedFiles> write_keyed(engine::StagedChanges& staged, ChangeSet& changes, flow::Counts& counts,
                                    const Ask& ask);
    Result<StagedFiles> write_keyless(engine::StagedChanges& staged, ChangeSet& changes, flow::Counts& counts);
    Result<int64_t> take_out_faults(engine::StagedChanges& staged);
    Result<engine::UnsentValues> complete(engine::StagedChanges& staged, const std::string& wanted, const Ask& ask);
    Result<StagedFiles> export_rows(const ChangeSet& changes, const std::string& from,
                                    const std::vector<std::pair<std::string, std::string>>& own);
    Status note_truncates(const engine::StagedChanges& staged, ChangeSet& changes);
    bool keeps_history() const { return load_.target.mode == flow::Mode::history; }
    bool keeps_deleted() const { return load_.target.deletes == flow::Deletes::soft; }

    LocalStage& stage_;
    engine::Connection& connection_;
    const StagedLoad& load_;
    const flow::ScanContext& context_;
    bool needs_target_ = false;  ///< some value is to come from the target's rows
};

}  // namespace penstock::bigquery
