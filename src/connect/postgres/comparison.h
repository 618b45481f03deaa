#pragma once

#include <memory>

#include "connect/postgres/table_source.h"
#include "flow/comparison.h"

namespace penstock::postgres {

/// Tables, views, queries and captured tables as something to be compared: one session in a repeatable-read transaction, whose
/// position is read after its snapshot was taken. Whatever the snapshot shows committed before that position; a target that has
/// all changes up to it has at least what the snapshot shows.
Result<std::unique_ptr<flow::ComparedSource>> compare(TableSourceOptions options, std::stop_token stop);

}  // namespace penstock::postgres
