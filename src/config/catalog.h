#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/spec_base.h"

namespace penstock::config {

/// One connection type as the configuration sees it. A system that cannot be read (or written) has no source (or target).
struct ComponentSpecs {
    std::string type;
    std::string doc;
    const SpecBase* connection = nullptr;
    const SpecBase* source = nullptr;
    const SpecBase* target = nullptr;
    bool takes_news = false;  ///< `notify` may name its connections
};

/// Every connection type of this program, in the order docs list them. Made once, by the explicit list of components.
using Catalog = std::vector<ComponentSpecs>;

inline const ComponentSpecs* find(const Catalog& catalog, std::string_view type) {
    for (const auto& component : catalog)
        if (component.type == type) return &component;
    return nullptr;
}

}  // namespace penstock::config
