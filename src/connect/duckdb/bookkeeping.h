#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/type.h"
#include "engine/database.h"
#include "flow/ledger.h"
#include "flow/sink.h"

namespace penstock::duckdb {

/// The tables that Penstock keeps beside the data, in a schema of their own: pipeline_metadata (one row a committed batch;
/// the newest is the checkpoint), rejects, schema_registry. Reading copes with their absence.
class Bookkeeping {
  public:
    /// Creates what is missing.
    Status create(engine::Connection& connection) const;

    Result<std::optional<flow::BatchRecord>> newest_batch(engine::Connection& connection, const std::string& pipeline,
                                                          const std::string& source, const std::string& target) const;
    /// The newest of each table; "" is every pipeline.
    Result<std::vector<flow::BatchRecord>> newest_batches(engine::Connection& connection,
                                                          std::string_view pipeline) const;
    /// Oldest first; "" is every table.
    Result<std::vector<flow::SchemaRecord>> schema_history(engine::Connection& connection,
                                                           std::string_view target) const;

    /// Adds the row that makes a batch durable; its number follows the newest one's.
    Status add_batch(engine::Connection& connection, const flow::RunIdentity& run,
                     const flow::TableCommit& commit) const;
    /// The one row of the pipeline's stream.
    Result<std::optional<flow::BatchRecord>> stream(engine::Connection& connection, const std::string& pipeline) const;
    /// Puts another in its place, with the next number.
    Status keep_stream(engine::Connection& connection, const flow::RunIdentity& run, const flow::Checkpoint& at) const;
    Status add_rejects(engine::Connection& connection, const flow::RunIdentity& run,
                       const flow::RejectLog& rejects) const;
    /// Marks what the target's load replays; fails where not all of it is open.
    Status mark_replayed(engine::Connection& connection, const flow::RunIdentity& run,
                         const flow::TableTarget& target) const;
    /// One row a decision, all of one version.
    Status add_decisions(engine::Connection& connection, const std::string& target, int64_t version,
                         const data::Schema& schema, std::span<const flow::SchemaDecision> decisions) const;

    Result<std::vector<flow::RejectRecord>> rejects(engine::Connection& connection,
                                                    const flow::RejectFilter& filter) const;
    Result<int64_t> resolve(engine::Connection& connection, const flow::RejectFilter& filter,
                            flow::Resolution resolution, TimePoint at) const;

  private:
    Result<bool> has(engine::Connection& connection, const char* table) const;
    Result<std::vector<flow::BatchRecord>> batches(engine::Connection& connection, const std::string& where,
                                                   std::span<const engine::Value> parameters) const;
    Result<std::vector<flow::SchemaRecord>> schemas(engine::Connection& connection, const std::string& where,
                                                    std::span<const engine::Value> parameters) const;
};

/// NULL of "".
engine::Value or_null(const std::string& text);

}  // namespace penstock::duckdb
