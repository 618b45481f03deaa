#pragma once

#include <string>

namespace penstock::flow {

/// A table, topic or folder as programs outside call it: OpenLineage's naming conventions, where they have the system.
struct Dataset {
    std::string space;  ///< "postgres://shop.example.com:5432": without credentials
    std::string name;   ///< "shop.public.orders"
};

}  // namespace penstock::flow
