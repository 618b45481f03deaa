#pragma once

#include <nlohmann/json_fwd.hpp>

#include "config/document.h"

namespace penstock::app {

/// {"pipelines": […], "servers": …} of what the state knows: nobody else is asked, so any process may ask often. What `penstock status`
/// says too has the same name there. The document is as `read_project` gives it.
Result<nlohmann::ordered_json> overview(const config::Document& document);

}  // namespace penstock::app
