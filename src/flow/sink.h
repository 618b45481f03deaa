#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "flow/scan.h"
#include "flow/source.h"

namespace penstock::flow {

class CheckedTarget;

enum class Mode {
    append,   ///< rows are added; rows re-read at a cursor bound are recognised and not added twice
    replace,  ///< built aside, swapped in one step (I8)
    merge,    ///< insert or update by key; never deletes
    history,  ///< type 2: a changed row closes its version and opens a new one
};

enum class SchemaChange {
    evolve,  ///< add, widen, relax; a dropped column stays and becomes NULL; an incompatible type gets `<name>__v2`
    freeze,  ///< the target keeps its shape: new columns are left out, said in a warning; anything else stops
    reject,  ///< any difference stops the run
};

/// What becomes of a row that a change stream deletes.
enum class Deletes {
    hard,  ///< it goes
    soft,  ///< it stays with its last values, marked as deleted
};

/// One table to write.
struct TableTarget {
    size_t table = 0;  ///< index into the source's tables
    TableInfo info;
    std::string name;  ///< in the target: schema.table, or a path
    Mode mode = Mode::append;
    std::vector<std::string> key;
    std::string update_when;   ///< SQL over T (target) and S (staged); "" is always
    std::string partition_by;  ///< an SQL expression
    std::vector<std::string> cluster_by;
    SchemaChange schema_change = SchemaChange::evolve;
    bool full_refresh = false;  ///< ignore the checkpoint and rebuild
    /// Ids of rejects of which this load brings the rows again. The commit that makes the rows durable marks them as
    /// replayed, and fails (`rejects_closed`) where one of them is not open any more: its row may be there already.
    std::vector<std::string> replays = {};
    /// In mode append: a column that tells rows apart for good. A row whose value the target has, or an earlier row of the
    /// same load, is left out. "": every row is added.
    std::string known_by = {};
    /// Of several rows of a load with one key the one with the greatest value of this column stays. "": the source's cursor.
    std::string newest_by = {};
    Deletes deletes = Deletes::hard;  ///< of a table of changes in mode merge
    /// Of a table of changes: the load brings every row of the source (Part::whole), and what the target has beside them goes
    /// the way of deleted rows: away, marked, or closed as a version.
    bool whole = false;

    const std::string& newest() const { return newest_by.empty() ? info.cursor : newest_by; }
};

/// One difference between source and target and what will be done about it.
struct SchemaDecision {
    std::string column;
    std::string change;  ///< table_created, column_added, column_dropped, column_renamed, type_widened, type_changed, …
    std::string decision;  ///< applied, kept_as_null, new_column, ignored, refused
    std::string sql;       ///< the statement that does it, or ""
    std::string detail;    ///< for people
};

/// What a run would find and do for a table. Reading it changes nothing.
struct TablePlan {
    std::optional<Checkpoint> checkpoint;
    std::vector<SchemaDecision> decisions;
    std::vector<std::string> statements;  ///< the load itself as SQL, for `plan`
    bool exists = false;
    /// A decision that a run would end with before it writes anything.
    std::optional<Error> refusal = {};
    /// Rows already there need values of a new column that only the source's rows have: all are read and merged again.
    bool reads_everything = false;
};

/// Names the run in everything the sink writes beside the data.
struct RunIdentity {
    std::string pipeline;
    std::string run_id;
};

/// What one table adds to a commit.
struct TableCommit {
    const TableTarget& target;
    const Checkpoint& checkpoint;
    const Counts& counts;
    const RejectLog& rejects;
};

/// The refusal of a commit whose replays are not all open.
Error rejects_closed(const TableTarget& target, int64_t open);

/// Of a sink that keeps where a stream goes on (Segment::stream).
struct KeptStream {
    std::optional<Checkpoint> at;  ///< nothing: none was kept yet
};

/// Where rows go. Calls come from the runner's thread, in the order plan, then per segment: begin, load*, commit or abort.
/// Between begin and commit nothing is visible to readers of the target. A sink may pull with threads of its engine.
class Sink {
  public:
    virtual ~Sink() = default;
    /// Connects, reads checkpoints, compares shapes; reaps what a killed run left. No change that a reader could see.
    virtual Result<std::vector<TablePlan>> plan(const std::vector<TableTarget>& tables, std::stop_token stop) = 0;
    /// What plan() found; nothing of a sink that keeps none.
    virtual std::optional<KeptStream> stream() const { return std::nullopt; }
    /// Starts a unit of work.
    virtual Status begin(const RunIdentity& run) = 0;
    /// Pulls the scan to its end, applies the plan's decisions and stages and merges the rows. Nothing is durable yet.
    /// The counts cover what became of the rows the reader handed over (written, filtered, deleted, bytes); the runner adds
    /// rows read from the progress and rows rejected from the log.
    virtual Result<Counts> load(const TableTarget& target, Scan& scan, const ScanContext& context) = 0;
    /// Between begin and commit, of a sink that keeps it: the commit makes it durable with all else.
    virtual Status keep_stream(const Checkpoint&) { return {}; }
    /// Makes everything since begin durable, all tables at once, together with their checkpoints, their rows in
    /// pipeline_metadata and their rejects.
    virtual Status commit(std::span<const TableCommit> tables) = 0;
    /// Forgets everything since begin. Called after any failure; must not fail.
    virtual void abort() noexcept = 0;
    /// By this sink so far, whatever became of it.
    virtual Spending spent() const { return {}; }
    /// Of a target that keeps what checks have said, and can be asked about its tables; else null.
    virtual CheckedTarget* checked() { return nullptr; }
};

}  // namespace penstock::flow
