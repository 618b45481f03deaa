#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "connect/webhook/options.h"

namespace penstock::webhook {

/// What became of one try.
struct Delivery {
    bool delivered = false;
    bool passing = false;              ///< another time it may go better
    std::chrono::milliseconds wait{};  ///< that the receiver asks for; zero: none
    std::string why;                   ///< for people; without URL and secrets
};

/// Tells the receiver of `news`: an object with texts `id`, `title` and `text`, and whatever else is known. `id` is sent as
/// Idempotency-Key as well, because what was sent may be sent again.
Delivery send(const ConnectionOptions& options, const nlohmann::ordered_json& news, std::stop_token stop);

/// The body of that: the object itself, or Slack's {"text"}.
std::string body_of(Form form, const nlohmann::ordered_json& news);

}  // namespace penstock::webhook
