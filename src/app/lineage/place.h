#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "config/document.h"
#include "io/delivery.h"

namespace penstock::app {

/// Where OpenLineage's events go: `lineage` of the file, else what OPENLINEAGE_URL, _ENDPOINT, _API_KEY and _NAMESPACE say.
/// Nothing where neither does, or OPENLINEAGE_DISABLED is true.
std::optional<config::Lineage> lineage_of(const config::Document& document);

/// What stands for that place among the receivers of notices: no connection has such a name.
inline constexpr const char* lineage_receiver = "openlineage:";

/// Hands over one event as JSON text. Into a file it may come twice where the process was killed right then.
io::Delivery send_lineage(const config::Lineage& place, const std::string& event, std::stop_token stop);

}  // namespace penstock::app
