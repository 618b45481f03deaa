#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/jobs.h"
#include "connect/bigquery/target_table.h"
#include "flow/ledger.h"
#include "flow/sink.h"

namespace penstock::bigquery {

/// The tables that Penstock keeps beside the data, in a dataset of their own: pipeline_metadata (one row a committed batch;
/// the newest is the checkpoint), rejects, schema_registry. Reading copes with their absence.
class Bookkeeping {
  public:
    Bookkeeping(Client& client, Jobs& jobs) : client_(client), jobs_(jobs) {}

    /// Creates what is missing; once.
    Status create();

    /// The newest of each table; "" is every pipeline.
    Result<std::vector<flow::BatchRecord>> newest_batches(std::string_view pipeline);
    /// Oldest first; "" is every table.
    Result<std::vector<flow::SchemaRecord>> schema_history(std::string_view target);
    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter);
    Result<int64_t> resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at);

    /// What the commit's look at the checkpoint bills.
    Result<int64_t> price_of_assert(const flow::RunIdentity& run, const flow::TableTarget& target);

    // Statements for the transaction of a commit, each without its semicolon.
    /// Fails the transaction where the stream is not where it was, or one of `tables` (source, target, batch).
    struct Committed {
        std::string source, target;
        int64_t batch;
    };
    std::string assert_stream_unmoved(const flow::RunIdentity& run, int64_t stream,
                                      const std::vector<Committed>& tables) const;
    /// Where a stream goes on, as a row of its own: the newest counts.
    std::string add_stream(const flow::RunIdentity& run, const flow::Checkpoint& at, int64_t batch,
                           TimePoint time) const;
    /// Fails the transaction where another batch was committed meanwhile.
    std::string assert_unmoved(const flow::RunIdentity& run, const flow::TableTarget& target, int64_t batch) const;
    std::string add_batch(const flow::RunIdentity& run, const flow::TableCommit& commit, int64_t batch,
                          TimePoint at) const;
    std::string add_decisions(const std::string& target, int64_t version, const data::Schema& schema,
                              std::span<const flow::SchemaDecision> decisions, TimePoint at) const;
    /// From a staging table of the same columns.
    std::string add_rejects(const TableId& staged) const;
    /// Marks what the target's load replays; fails the transaction where not all of it is open.
    std::vector<std::string> mark_replayed(const flow::RunIdentity& run, const flow::TableTarget& target,
                                           TimePoint at) const;

    NewTable rejects_like(const TableId& id) const;

  private:
    Result<bool> has(const char* table);
    std::string newest_sql(const flow::RunIdentity& run, const flow::TableTarget& target) const;
    std::vector<std::string> fresh() const {
        return created_ ? std::vector{client_.options().bookkeeping.value} : std::vector<std::string>();
    }
    std::string name(const char* table) const { return client_.bookkeeping(table).quoted(); }

    Client& client_;
    Jobs& jobs_;
    bool created_ = false;
};

/// What an assert_unmoved that fails says.
inline constexpr const char* checkpoint_moved_text = "penstock: checkpoint moved";
/// What a mark_replayed that fails says.
inline constexpr const char* rejects_closed_text = "penstock: rejects closed";

/// As a literal; NULL of "".
std::string text_or_null(const std::string& value);

}  // namespace penstock::bigquery
