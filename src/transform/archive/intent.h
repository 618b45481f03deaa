#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::io {
class ObjectStore;
}

namespace penstock::archive {

/// What is about to appear, written before anything does.
struct Intent {
    std::string pipeline;
    std::string segment;
    std::string position;  ///< of the stream, as JSON, once these are committed
    std::vector<std::string> objects;
};

std::string intent_name(std::string_view pipeline, std::string_view writer);

Result<std::optional<Intent>> load_intent(io::ObjectStore& store, const std::string& name);
Status save_intent(io::ObjectStore& store, const std::string& name, const Intent& intent);

/// Removes the objects that the index says are of this intent, each before its index: how many.
Result<size_t> withdraw(io::ObjectStore& store, const Intent& intent);

/// The same JSON, whatever its spaces; the same text where it is none.
bool same_position(std::string_view one, std::string_view other);

}  // namespace penstock::archive
