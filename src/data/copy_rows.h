#pragma once

#include <cstddef>

#include "data/block.h"

namespace penstock::data {

/// Copies rows [first, first + rows) of a block into a clear one of the same types. Strings are not copied: the bytes they
/// refer to must outlive both.
void copy_rows(const Block& from, size_t first, size_t rows, Block& to);

/// Leaves only these rows, which are in ascending order, without copying what lists hold.
void keep_rows(Block& block, const std::vector<size_t>& rows);

}  // namespace penstock::data
