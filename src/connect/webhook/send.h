#pragma once

#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "connect/webhook/options.h"
#include "io/delivery.h"

namespace penstock::webhook {

/// Tells the receiver of `news`: an object with texts `id`, `title` and `text`, and whatever else is known. `id` is sent as
/// Idempotency-Key as well, because what was sent may be sent again.
io::Delivery send(const ConnectionOptions& options, const nlohmann::ordered_json& news, std::stop_token stop);

/// The body of that: the object itself, or Slack's {"text"}.
std::string body_of(Form form, const nlohmann::ordered_json& news);

}  // namespace penstock::webhook
