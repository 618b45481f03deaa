#pragma once

#include <string>

#include "data/type.h"

namespace penstock::steps {

/// `column`, an SQL expression of type `from`, as the SQL type `to`: exactly, or an error that says so. DuckDB's own cast rounds
/// numbers and cuts times. `shows` tells whether the error may hold the value.
std::string exact_cast(const std::string& column, const data::Type& from, const std::string& to, const data::Type& type,
                       bool shows);

}  // namespace penstock::steps
