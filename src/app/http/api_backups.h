#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "app/http/api_route.h"

namespace penstock::app::http {

/// The part of the table of routes that is about backups. What stores are asked for is kept for half a minute (kept_answers.h).
std::vector<ApiRoute> backup_routes();

}  // namespace penstock::app::http
