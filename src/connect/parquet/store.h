#pragma once

#include <memory>
#include <vector>

#include "connect/parquet/options.h"
#include "flow/component.h"

namespace penstock::io {
class ObjectStore;
}

namespace penstock::parquet {

/// The connection's place as objects by name: for the archive of an event stream.
Result<std::shared_ptr<io::ObjectStore>> open_store(const ConnectionOptions& options);

/// Puts, reads, lists and removes a small object below `_penstock/`, and says what went wrong.
std::vector<flow::Finding> examine_bucket(const ConnectionOptions& options);

}  // namespace penstock::parquet
