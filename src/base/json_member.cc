#include "base/json_member.h"

#include <nlohmann/json.hpp>

namespace penstock {

std::string text_of(const nlohmann::json& object, const char* name) {
    auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace penstock
