#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/parquet/storage.h"
#include "engine/database.h"
#include "flow/ledger.h"

namespace penstock::parquet {

/// The bookkeeping files of a kind as something to select from, each row with its `_penstock_file`; "" when there are none.
std::string bookkeeping_files(const Path& root, const std::string& kind);

/// The filter as a condition on reject files.
std::string condition(const flow::RejectFilter& filter);

/// A reject file and its copy, in which so many rejects are marked.
struct MarkedFile {
    Path file;
    Path copy;
    int64_t marked = 0;
};

/// Writes, for each reject file that holds open rejects of the filter, a copy in which those are marked as dealt with.
/// Nothing changes until the copies take the files' places. `copy_of` says where a copy goes.
Result<std::vector<MarkedFile>> mark_rejects(engine::Connection& connection, const Path& root,
                                             const flow::RejectFilter& filter, flow::Resolution resolution,
                                             TimePoint at, const std::function<Path(const Path& file)>& copy_of);

}  // namespace penstock::parquet
