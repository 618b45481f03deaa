#pragma once

#include "flow/component.h"

namespace penstock::kafka {

const flow::Component& component();

}  // namespace penstock::kafka
