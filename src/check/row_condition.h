#pragma once

#include "check/arguments.h"
#include "flow/validation.h"

namespace penstock::check {

/// What is wrong with `row_condition` and its `condition_parser`, as far as no table is needed to tell.
Status check_row_condition(const Expectation& expectation);

/// The rows that `row_condition` chooses, as a table; all of them where nothing is said. Rows of which SQL does not know whether
/// they fulfil it are not chosen.
Result<flow::AskedTable> chosen_rows(const Arguments& arguments, const flow::AskedTable& table);

}  // namespace penstock::check
