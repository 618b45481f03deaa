#pragma once

#include "flow/component.h"

namespace penstock::smtp {

/// Whom `notify` tells by mail. No source and no target.
const flow::Component& component();

}  // namespace penstock::smtp
