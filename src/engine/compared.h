#pragma once

#include <memory>
#include <string>

#include "engine/database.h"
#include "flow/comparison.h"

namespace penstock::engine {

/// What stands behind FROM as a table to be compared, with all its columns. The connection lives as long as the answer.
Result<flow::ComparedTable> compared_table(std::shared_ptr<Connection> connection, const std::string& from);

}  // namespace penstock::engine
