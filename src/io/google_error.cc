#include "io/google_error.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/json_member.h"
#include "base/secret.h"

namespace penstock::io {
namespace {

using Json = nlohmann::json;

/// A page of HTML from a proxy is no message.
std::string first_line(std::string text) {
    text.erase(std::min(text.find_first_of("\r\n"), text.size()));
    if (text.size() > 300) text = text.substr(0, 300) + "…";
    return redact(std::move(text));
}

}  // namespace

GoogleError google_error(const Response& response) {
    GoogleError found{.status = response.status, .reason = "", .message = ""};
    auto body = Json::parse(response.body, nullptr, false);
    if (!body.is_object() || !body.contains("error")) {
        found.message = first_line(response.body);
        return found;
    }
    const auto& error = body["error"];
    if (error.is_string()) {  // OAuth
        found.reason = error.get<std::string>();
        found.message = first_line(text_of(body, "error_description"));
        return found;
    }
    if (!error.is_object()) return found;
    found.message = first_line(text_of(error, "message"));
    if (auto list = error.find("errors"); list != error.end() && list->is_array() && !list->empty())
        found.reason = text_of(list->front(), "reason");
    return found;
}

bool is_passing(int status, std::string_view reason) {
    constexpr std::array passing = {"backendError",          "internalError",   "rateLimitExceeded",
                                    "userRateLimitExceeded", "jobBackendError", "jobInternalError",
                                    "jobRateLimitExceeded",  "tableUnavailable"};
    if (std::ranges::find(passing, reason) != passing.end()) return true;
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

}  // namespace penstock::io
