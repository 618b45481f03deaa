#pragma once

#include "flow/component.h"

namespace penstock::pubsub {

const flow::Component& component();

}  // namespace penstock::pubsub
