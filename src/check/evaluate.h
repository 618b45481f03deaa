#pragma once

#include "check/expectation.h"
#include "check/reference.h"
#include "flow/validation.h"

namespace penstock::check {

/// Asks a table and judges the answer. The error of one that cannot be asked of this table is a configuration error; what
/// values of the table made impossible is said as a failed check.
Result<flow::Validation> evaluate(const Expectation& expectation, const flow::AskedTable& table,
                                  const Reference& reference);

/// The same of a table without rows, for the mistakes that show there.
Status try_out(const Expectation& expectation, const flow::AskedTable& none);

/// The rows at fault of an expectation of rows: a query of `row`, an expression over the table's rows.
Result<std::string> rows_at_fault(const Expectation& expectation, const flow::AskedTable& table,
                                  const std::string& row);

/// "not_null of email: 3 of 100 rows (3%) have no value"
std::string in_words(const flow::Validation& validation);

}  // namespace penstock::check
