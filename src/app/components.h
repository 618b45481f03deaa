#pragma once

#include <string_view>
#include <vector>

#include "config/catalog.h"
#include "flow/component.h"

namespace penstock::app {

/// Every system this program speaks to: the one list of them. Registering themselves would be dropped by the linker.
const std::vector<const flow::Component*>& components();

/// By the `type:` of a connection; nullptr when there is none.
const flow::Component* find_component(std::string_view type);

/// The same list as the configuration sees it.
const config::Catalog& catalog();

}  // namespace penstock::app
