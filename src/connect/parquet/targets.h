#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "connect/parquet/storage.h"
#include "connect/parquet/write.h"
#include "flow/sink.h"

namespace penstock::parquet {

/// Whether files can be written below the root, as far as can be told without writing any.
Status check_root(const Path& root);

/// What cannot work whatever the rows are: a path that leaves its folder, a mode that needs one folder where the path has
/// time parts, a folder that is swapped and holds another table's, a key that is missing.
Status check_targets(const std::vector<flow::TableTarget>& tables);

/// The load as steps in SQL and shell words, for `plan`.
std::vector<std::string> describe_load(const flow::TableTarget& target, const Path& root, const WriteOptions& options,
                                       const std::vector<Partition>& partitions, TimePoint started_at,
                                       bool table_exists);

}  // namespace penstock::parquet
