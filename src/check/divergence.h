#pragma once

#include "check/arguments.h"
#include "check/measure.h"
#include "flow/validation.h"

namespace penstock::check {

/// expect_column_kl_divergence_to_be_less_than, as Great Expectations computes it: how far the values of a column are from an
/// expected distribution, a share for each value or for each range of numbers (`partition_object`).
Result<Measured> divergence(const Arguments& arguments, const flow::AskedTable& table);

}  // namespace penstock::check
