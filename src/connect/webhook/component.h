#pragma once

#include "flow/component.h"

namespace penstock::webhook {

/// Whom `notify` tells: an URL that takes JSON. No source and no target.
const flow::Component& component();

}  // namespace penstock::webhook
