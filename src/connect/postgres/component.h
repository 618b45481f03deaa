#pragma once

#include "flow/component.h"

namespace penstock::postgres {

const flow::Component& component();

}  // namespace penstock::postgres
