#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/catalog.h"
#include "config/document.h"
#include "flow/component.h"

namespace penstock::app {

/// Every system this program speaks to: the one list of them. Registering themselves would be dropped by the linker.
const std::vector<const flow::Component*>& components();

/// By the `type:` of a connection; nullptr when there is none.
const flow::Component* find_component(std::string_view type);

/// The file that only one process at a time can write by this connection; "" where any number can.
std::string held_alone(const config::Connection& connection);

/// The same list as the configuration sees it.
const config::Catalog& catalog();

}  // namespace penstock::app
