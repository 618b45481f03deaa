#include "check/json_of_node.h"

#include <nlohmann/json.hpp>

namespace penstock::check {

using Json = nlohmann::ordered_json;

Json json_of_node(const config::Node& node) {
    if (node.is_null()) return nullptr;
    if (node.is_map()) {
        Json map = Json::object();
        for (const auto& entry : node.entries) map[entry.key] = json_of_node(entry.value);
        return map;
    }
    if (node.is_sequence()) {
        Json list = Json::array();
        for (const auto& item : node.items) list.push_back(json_of_node(item));
        return list;
    }
    if (node.quoted) return node.text;
    auto json = Json::parse(node.text, nullptr, false);
    return json.is_number() || json.is_boolean() ? json : Json(node.text);
}

}  // namespace penstock::check
