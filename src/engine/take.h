#pragma once

#include <duckdb.h>

#include "data/block.h"

namespace penstock::engine {

/// Copies a chunk of flat vectors, as a result that was fetched whole has them, into a clear block of the same types. The bytes
/// of strings stay in the chunk, which must outlive the block's use. The other direction of lend.h.
void take(duckdb_data_chunk chunk, data::Block& block);

}  // namespace penstock::engine
