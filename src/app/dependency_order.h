#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::app {

/// A pipeline and those that must have run before it.
struct Dependency {
    std::string name;
    std::vector<std::string> after;
};

/// The names in an order in which everything stands behind what it comes after, as near to the given order as that allows.
/// Entries of `after` that are not among `nodes` do not count: a pipeline that is not part of this run holds up nobody.
/// A cycle is a configuration error that spells it out.
Result<std::vector<std::string>> dependency_order(const std::vector<Dependency>& nodes);

}  // namespace penstock::app
