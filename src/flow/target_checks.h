#pragma once

#include "base/error.h"
#include "flow/sink.h"

namespace penstock::flow {

/// What can be told of a target table from the source's alone: columns that its options name, the key of its mode.
Status check_target(const TableTarget& target);

}  // namespace penstock::flow
