#pragma once

#include "config/catalog.h"
#include "config/reference.h"

namespace penstock::config {

/// For tests and fuzzers: two systems, one to read ("sea") and one to write ("land"), whose options cover every member type
/// and rule a Spec knows.
const Catalog& sample_catalog();

/// Surroundings that hold the variables NAME=value, EMPTY="" and TOKEN=hunter2-token, and the file `secrets/token`.
const Surroundings& sample_surroundings();

}  // namespace penstock::config
