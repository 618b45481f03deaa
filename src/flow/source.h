#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "flow/accounting.h"
#include "flow/scan.h"

namespace penstock::flow {

/// A table as the source describes it, before anything is read.
struct TableInfo {
    std::string name;  ///< schema.table, or the query's name
    data::Schema schema;
    std::vector<std::string> key;  ///< primary key; empty when there is none
    bool key_is_unique = false;    ///< the source enforces `key`
    int64_t estimated_rows = -1;   ///< of the coming read; -1 unknown
    int64_t estimated_bytes = -1;
    std::string cursor;              ///< cursor column, or ""
    std::vector<std::string> notes;  ///< what a user should know: not captured, late commits not visible …
    /// Its parts are changes: scans with the columns of flow/change.h, applied in the order of their positions. `key` is then
    /// what identifies a row in the stream; empty: rows are told apart by all their values.
    bool changes = false;
    std::string database = {};   ///< where the table lives, "" where that is not known; set for changes
    bool old_rows = false;       ///< parts of changes bring change::transaction …
    bool full_old_rows = false;  ///< … and change::before of each column: the source sends whole old rows
    /// Holds no rows of its own: its parts have nothing but rejects, which no table can be said to be of. No target makes it.
    bool rejects_only = false;
    std::string partition_by = {};  ///< what holds where the target's options say nothing
    std::vector<std::string> cluster_by = {};
    std::string description = {};
};

/// A piece of one table inside a segment.
struct Part {
    size_t table;  ///< index into discover()'s tables
    std::unique_ptr<Scan> scan;
    /// Nothing more of this table comes in this run, so that a retry leaves it out. A change stream says false. A table in
    /// mode replace comes as one part.
    bool last = true;
    /// Of changes: every row of the table, as it was at one moment. What the target has beside them is gone from the source.
    bool whole = false;
};

/// What one commit makes durable: one table's increment for batch, a run of whole transactions for a change stream.
struct Segment {
    std::vector<Part> parts;
    /// Where the stream itself goes on once this is durable: kept beside the tables' checkpoints, by sinks that do so
    /// (Source::resume). A segment may be nothing but this.
    std::optional<Checkpoint> stream = {};
};

/// One table to read, and from where on.
struct TableRead {
    size_t table;
    std::optional<Checkpoint> from;  ///< nothing: from the beginning
    ScanContext context;
    /// The target needs every row, also those it has: `from` only says what was read before, and a read that is narrowed by
    /// hand will not do.
    bool whole = false;
    /// Somebody asked by hand for the table to be read from the beginning, whatever was read or set aside before.
    bool anew = false;
};

/// The code of an error that ends an attempt without fault: the source has to look at its tables again. The runner starts the
/// next attempt at once, and counts none.
inline constexpr const char* look_again = "look_again";

/// Where rows come from. Calls come from the runner's thread, in the order discover, resume,
/// open, (next, pull, confirm)*.
/// Failures that error_policy.h finds worth it are retried with a new source; all others end the run.
class Source {
  public:
    virtual ~Source() = default;
    /// Connects; tables, schemas, estimates. Reads no rows.
    virtual Result<std::vector<TableInfo>> discover(std::stop_token stop) = 0;
    /// For streams, where the sink keeps their checkpoint: the newest that it has. Not called, the newest of the tables'
    /// checkpoints has to do.
    virtual Status resume(std::optional<Checkpoint>) { return {}; }
    /// Fixes what will be read: one snapshot for all tables, or a stream position.
    virtual Status open(std::vector<TableRead> tables) = 0;
    /// The next segment, or nothing at the end. The one before has been pulled to its end.
    virtual Result<std::optional<Segment>> next() = 0;
    /// I1: `durable` is committed in the target; the source may let go of what lies before it.
    virtual Status confirm(size_t table, const Checkpoint& durable) = 0;
    /// The same for a segment's `stream`.
    virtual Status confirm_stream(const Checkpoint&) { return {}; }
    /// A part of `table` could not be loaded. A source that can do without the table answers with the stream's checkpoint
    /// that says so; once it is durable the run goes on without the table, by looking again.
    virtual Result<std::optional<Checkpoint>> set_aside(size_t, const Error&) { return std::optional<Checkpoint>(); }
    /// By this source so far, whatever became of it.
    virtual Spending spent() const { return {}; }
};

}  // namespace penstock::flow
