#include "base/redacted.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/secret.h"

namespace penstock {

nlohmann::ordered_json redacted(nlohmann::ordered_json json) {
    if (json.is_string()) return redact(json.get<std::string>());
    if (json.is_structured())
        for (auto& value : json) value = redacted(std::move(value));
    return json;
}

std::string valid_text(const std::string& text) {
    using Json = nlohmann::json;
    return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

}  // namespace penstock
