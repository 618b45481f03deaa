#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flow/ledger.h"
#include "flow/sink.h"
#include "state/soci.h"

// The rows of `checkpoints` and `rejects`, for target_ledger.h. Each within what transaction the caller has; SOCI's exceptions
// pass through.
namespace penstock::state {

/// The newest batch of a table, which is the only one that is kept.
std::optional<flow::BatchRecord> select_batch(soci::session& sql, const std::string& pipeline,
                                              const std::string& source, const std::string& target);
/// Of all tables that go to a connection; "" is every pipeline.
std::vector<flow::BatchRecord> select_batches(soci::session& sql, const std::string& connection,
                                              const std::string& pipeline);
/// In place of the table's last one.
void put_batch(soci::session& sql, const flow::BatchRecord& record, const std::string& connection);

std::vector<flow::RejectRecord> select_rejects(soci::session& sql, const flow::RejectFilter& filter,
                                               const std::string& connection);
/// Bytes that are not UTF-8, and zero bytes, which not every database can hold, are written as `\xNN`.
Status put_rejects(soci::session& sql, const flow::RunIdentity& run, const flow::RejectLog& rejects,
                   const std::string& connection);
/// How many were open, and are not any more.
long long resolve_rejects(soci::session& sql, const flow::RejectFilter& filter, flow::Resolution resolution,
                          TimePoint at, const std::string& connection);
/// Whether any was resolved so at this very time.
bool was_resolved(soci::session& sql, flow::Resolution resolution, TimePoint at, const std::string& connection);

}  // namespace penstock::state
