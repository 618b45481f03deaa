#pragma once

#include <string>

#include "data/type.h"

namespace penstock::engine {

/// A value's canonical text (flow/comparison.h) in DuckDB's SQL; NULL where the value is.
std::string canonical_text(const data::Type& type, const std::string& value);

}  // namespace penstock::engine
