#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "connect/parquet/manifest.h"
#include "connect/parquet/publish.h"
#include "engine/database.h"
#include "flow/ledger.h"
#include "flow/reject.h"
#include "flow/sink.h"

namespace penstock::parquet {

/// What Penstock writes beside the data, as Parquet: one file a committed table, so that nothing is ever rewritten.
/// A folder whose name begins with `_` is skipped by readers of the data.
///
///   _penstock/pipeline_metadata/<pipeline>.<run_id>.<table>.<batch>.parquet
///   _penstock/rejects/…            only where there are any
///   _penstock/schema_registry/…    only where something was decided

/// Writes the files of a batch into the unit and returns the moves that publish them.
Result<std::vector<Move>> stage_bookkeeping(engine::Connection& connection, const Unit& unit, size_t number,
                                            const Manifest& manifest, const flow::RejectLog& rejects);

/// Writes copies of the reject files into the unit in which what the target's load replays is marked, and returns the moves
/// that put them in place. Fails where not all of it is open.
Result<std::vector<Move>> stage_replayed(engine::Connection& connection, const Unit& unit, size_t number,
                                         const std::string& pipeline, const flow::TableTarget& target);

/// The id of the reject number `ordinal` (from 1) of a batch: 8 hexadecimal digits, a dash, the number.
std::string reject_id(const Manifest& manifest, int64_t ordinal);

}  // namespace penstock::parquet
