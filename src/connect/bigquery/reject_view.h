#pragma once

#include "connect/bigquery/client.h"
#include "flow/reject_view.h"

namespace penstock::bigquery {

/// Makes the view where it is missing, and its dataset; no query is run. A view of a dataset of its own reads the bookkeeping's
/// only for those who may read both, unless it is authorized there.
Status make_view(Client& client, const flow::RejectView& view);

}  // namespace penstock::bigquery
