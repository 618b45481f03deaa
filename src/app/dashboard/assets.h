#pragma once

#include <optional>
#include <string>

#include "app/http/server.h"

namespace penstock::app {

/// The page that people look at, its style and its scripts, compiled in from the files beside this one. Nothing for other paths. What
/// is secret comes by the API, so anybody may have these.
std::optional<http::Response> dashboard(const std::string& path);

}  // namespace penstock::app
