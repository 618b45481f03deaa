#pragma once

#include "flow/component.h"

namespace penstock::bigquery {

/// Google BigQuery as a target.
const flow::Component& component();

}  // namespace penstock::bigquery
