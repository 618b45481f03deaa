#pragma once

#include <string>

#include "base/error.h"
#include "connect/duckdb/changes.h"
#include "engine/changes/unsent_values.h"

namespace penstock::duckdb {

using engine::UnsentValues;

/// The values that the source did not send because they had not changed, from earlier changes of the part or from the target's rows.
/// `wanted` selects the row ids of staged changes whose values are needed.
Result<UnsentValues> find_unsent(Changes& changes, const std::string& wanted);

}  // namespace penstock::duckdb
