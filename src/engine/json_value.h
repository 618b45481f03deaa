#pragma once

#include <string>

#include "data/type.h"

namespace penstock::engine {

/// A column in a reject's JSON, an SQL expression of it: numbers and booleans as such where JSON holds them exactly, all else as
/// text.
std::string json_value(const data::Type& type, const std::string& column);

}  // namespace penstock::engine
