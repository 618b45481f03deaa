#pragma once

#include <string>
#include <vector>

#include "config/node.h"

namespace penstock::config {

/// The `key` of a pipeline's `target:`, before any component has parsed it; empty where it has none.
inline std::vector<std::string> target_key(const Node& target) {
    std::vector<std::string> out;
    const auto* key = target.find("key");
    if (key == nullptr) return out;
    if (key->is_scalar()) out.push_back(key->text);
    for (const auto& item : key->items) out.push_back(item.text);
    return out;
}

}  // namespace penstock::config
