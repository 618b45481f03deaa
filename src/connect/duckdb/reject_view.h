#pragma once

#include "engine/database.h"
#include "flow/reject_view.h"

namespace penstock::duckdb {

/// Makes the view where it is missing, in the transaction under way.
Status make_view(engine::Connection& connection, const flow::RejectView& view);

}  // namespace penstock::duckdb
