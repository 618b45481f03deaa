#pragma once

#include <vector>

#include "connect/postgres/ranges.h"
#include "flow/ledger.h"

namespace penstock::postgres {

/// COPY statements that give the rows of these rejects once more: as they are now, by primary key, where the table has one
/// and the reject's key or payload holds it; else as they were, from their payload, parsed by the server itself.
std::vector<Range> replay_ranges(const TableRead& read, const std::vector<flow::RejectRecord>& rejects);

}  // namespace penstock::postgres
