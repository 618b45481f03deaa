#pragma once

#include <map>
#include <optional>
#include <string>

#include "app/http/api_route.h"
#include "app/http/server.h"

namespace penstock::app::http {

/// What stands in the places of a route's path, or nothing where the path is another one.
std::optional<std::map<std::string, std::string>> match(std::string_view pattern, std::string_view path);

/// Reads all arguments into the call. Unknown and missing ones are errors, and so is what is of the wrong type, too long or out
/// of its bounds.
Status read_arguments(const ApiRoute& route, const Request& request, const std::map<std::string, std::string>& places,
                      ApiCall& call);

}  // namespace penstock::app::http
