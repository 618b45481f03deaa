#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::pubsub {

/// Message ids as compact JSON, for a checkpoint. Pub/Sub's ids are numbers, neighbours of one another within a publish: sorted,
/// each is written as its distance from the one before, in base64. Emulators put letters before the number ("m17"): each such
/// prefix has numbers of its own. Whatever else an id may be is kept as it is:
///
///     {"numbered": {"": "gICAgICAgAEB…", "m": "AAEB"}, "texts": ["0012"]}
///
/// Order is not kept.
nlohmann::json encode_ids(const std::vector<std::string>& ids);
Result<std::vector<std::string>> decode_ids(const nlohmann::json& encoded);

}  // namespace penstock::pubsub
