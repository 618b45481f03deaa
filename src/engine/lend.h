#pragma once

#include <duckdb.h>

#include "data/block.h"

namespace penstock::engine {

/// Gives the chunk's vector memory to the block's columns, structure children included, so that a reader decodes into
/// DuckDB. List elements stay in the block's own memory. Before each fill: DuckDB may have moved its vectors.
void lend(data::Block& block, duckdb_data_chunk chunk);

/// After the fill: validity where there are NULLs, list elements, the chunk's size.
void hand_over(data::Block& block, duckdb_data_chunk chunk);

}  // namespace penstock::engine
