#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "flow/accounting.h"
#include "flow/position.h"
#include "flow/reject.h"

namespace penstock::flow {

class CheckedLedger;

/// A reject as it stands in the target. A zero time means that it has not happened.
struct RejectRecord {
    std::string id;  ///< unique in the target, short enough to type
    std::string pipeline;
    std::string run_id;
    Reject reject;
    TimePoint replayed_at{};
    TimePoint discarded_at{};

    bool open() const { return replayed_at == TimePoint{} && discarded_at == TimePoint{}; }
};

/// Which rejects are meant; an empty field means any.
struct RejectFilter {
    std::string pipeline = {};
    std::string table = {};  ///< source table
    std::vector<std::string> ids = {};
    bool open_only = false;  ///< leave out those replayed or discarded
    int64_t limit = -1;      ///< -1: all
    bool whole = true;       ///< with what the rows were; without, payloads are "" where that is cheaper
};

enum class Resolution { replayed, discarded };

/// The source of the row that holds a stream's own checkpoint (Segment::stream), which has no target.
inline constexpr const char* stream_row = "(stream)";

/// One row of pipeline_metadata: a committed batch.
struct BatchRecord {
    std::string pipeline;
    std::string run_id;
    int64_t batch = 0;   ///< running number per pipeline and table, from 1
    std::string source;  ///< source table
    std::string target;
    Checkpoint checkpoint;
    Counts counts;
    TimePoint committed_at{};
};

/// One row of schema_registry: a decision about a table's shape.
struct SchemaRecord {
    std::string table;  ///< in the target
    int64_t version = 0;
    std::string columns;  ///< the source's schema from then on, as data::to_json writes it
    std::string column;   ///< what changed; "" for the table itself
    std::string change;
    std::string decision;
    std::string sql;
    TimePoint first_seen_at{};
};

/// What Penstock wrote beside the data of one target, for the commands that read and mend it (rejects, status, schema).
/// A target that holds none of it yet answers with empty lists. One thread.
class Ledger {
  public:
    virtual ~Ledger() = default;
    /// Newest last.
    virtual Result<std::vector<RejectRecord>> rejects(const RejectFilter& filter) = 0;
    /// Marks open rejects as dealt with, durably; returns how many it marked.
    virtual Result<int64_t> resolve(const RejectFilter& filter, Resolution resolution, TimePoint at) = 0;
    /// Oldest first; `table` is the target's name, "" is every table.
    virtual Result<std::vector<SchemaRecord>> schema_history(std::string_view table) = 0;
    /// The newest batch of each table of the pipeline ("" is every pipeline): its checkpoint.
    virtual Result<std::vector<BatchRecord>> checkpoints(std::string_view pipeline) = 0;
    /// Of a target that keeps what checks have said, and can be asked about its tables; else null.
    virtual CheckedLedger* checked() { return nullptr; }
};

}  // namespace penstock::flow
