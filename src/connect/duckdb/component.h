#pragma once

#include "flow/component.h"

namespace penstock::duckdb {

const flow::Component& component();

}  // namespace penstock::duckdb
