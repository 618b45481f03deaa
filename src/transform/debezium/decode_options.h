#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "data/holds.h"
#include "transform/debezium/envelope.h"

namespace penstock::debezium {

/// What events alone do not say. With schemas only `binaries`, `unavailable` and declared columns matter; without, the modes
/// say how a declared type was written.
struct DecodeOptions {
    Decimals decimals = Decimals::precise;
    Times times = Times::adaptive;
    Intervals intervals = Intervals::numeric;
    Binaries binaries = Binaries::bytes;
    /// `unavailable.value.placeholder` of the connector.
    std::string unavailable = std::string(unavailable_value);
    /// Columns and their types, in order: "decimal(12,2)", "timestamp(3)", "text[]". Over those of a schema.
    std::vector<std::pair<std::string, std::string>> columns = {};
    config::TypePolicies policies = {};
    data::Holds holds = {};
};

/// Why an event, or a value of it, cannot be held.
struct Refusal {
    std::string column = {};
    std::string code = {};
    std::string reason = {};
};

}  // namespace penstock::debezium
