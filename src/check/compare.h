#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "check/arguments.h"
#include "check/measure.h"
#include "check/reference.h"
#include "flow/validation.h"

namespace penstock::check {

/// Whether an expectation finds one number, so that it can be compared with others: `last`, `same_as`.
bool finds_a_number(const KnownExpectation& known);

/// What is wrong with `last`, `same_as` and `within`, as far as the configuration tells.
Status check_comparison(const Expectation& expectation);

/// What makes it the same check in other runs: all but its bounds. "" where the rows say nothing of other runs.
std::string series_of(const Expectation& expectation, const flow::AskedTable& table);

/// Holds what was found against other runs and other tables, as far as the expectation asks for it, and says so in
/// `validation.compared` and, for programs, in `details`.
Status compare(const Arguments& arguments, const flow::AskedTable& table, const Reference& reference,
               Measured& measured, flow::Validation& validation, nlohmann::ordered_json& details);

/// Whether it is about a table as a whole, and so about the target's where nothing else is said: another one is compared with it.
bool compares_tables(const Expectation& expectation);
/// What an expectation has found (flow::Validation::observed) where that is one finite number; BigQuery writes exact ones as texts.
std::optional<double> number_found(const std::string& observed);
/// A query that gives 1 where the table of `same_as` has a row that its `where` holds for, else 0.
std::string any_row_query(const config::Node& same_as, const std::function<std::string(std::string_view)>& name);
/// `same_as` as a query of one value. Names are quoted by `name`.
std::string other_query(const config::Node& same_as, const std::function<std::string(std::string_view)>& name);

/// "public.events of connection shop"
std::string other_in_words(const config::Node& same_as);

}  // namespace penstock::check
