#pragma once

#include "flow/component.h"

namespace penstock::http_api {

/// HTTP APIs that answer JSON, as a source.
const flow::Component& component();

}  // namespace penstock::http_api
