#pragma once

#include "flow/component.h"

namespace penstock::parquet {

const flow::Component& component();

}  // namespace penstock::parquet
