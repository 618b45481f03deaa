#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "check/compare.h"
#include "check/expectation.h"
#include "check/row_condition.h"
#include "config/suggest.h"

namespace penstock::check {
namespace {

using F = Family;

constexpr std::string_view of_a_number = "min_value max_value strict_min strict_max last within same_as";

constexpr std::array known = {
    KnownExpectation{"expect_column_values_to_not_be_null", F::rows, "column", "", "not_null"},
    KnownExpectation{"expect_column_values_to_be_null", F::rows, "column", "", "null"},
    KnownExpectation{"expect_column_values_to_be_unique", F::rows, "column", "", "unique"},
    KnownExpectation{"expect_column_values_to_be_in_set", F::rows, "column value_set", "", "accepted_values"},
    KnownExpectation{"expect_column_values_to_not_be_in_set", F::rows, "column value_set", "", "rejected_values"},
    KnownExpectation{"expect_column_values_to_be_between", F::rows, "column",
                     "min_value max_value strict_min strict_max", "between"},
    KnownExpectation{"expect_column_value_lengths_to_be_between", F::rows, "column",
                     "min_value max_value strict_min strict_max", "length"},
    KnownExpectation{"expect_column_value_lengths_to_equal", F::rows, "column value", "", "length"},
    KnownExpectation{"expect_column_values_to_match_regex", F::rows, "column regex", "", "regex"},
    KnownExpectation{"expect_column_values_to_not_match_regex", F::rows, "column regex", "", "not_regex"},
    KnownExpectation{"expect_column_values_to_match_regex_list", F::rows, "column regex_list", "match_on",
                     "regex_list"},
    KnownExpectation{"expect_column_values_to_not_match_regex_list", F::rows, "column regex_list", "",
                     "not_regex_list"},
    KnownExpectation{"expect_column_values_to_match_like_pattern", F::rows, "column like_pattern", "", "like"},
    KnownExpectation{"expect_column_values_to_not_match_like_pattern", F::rows, "column like_pattern", "", "not_like"},
    KnownExpectation{"expect_column_values_to_match_like_pattern_list", F::rows, "column like_pattern_list", "match_on",
                     "like_list"},
    KnownExpectation{"expect_column_values_to_not_match_like_pattern_list", F::rows, "column like_pattern_list", "",
                     "not_like_list"},
    KnownExpectation{"expect_column_values_to_be_json_parseable", F::rows, "column", "", "json"},
    KnownExpectation{"expect_column_values_to_be_increasing", F::rows, "column", "strictly", "increasing"},
    KnownExpectation{"expect_column_values_to_be_decreasing", F::rows, "column", "strictly", "decreasing"},
    KnownExpectation{"expect_column_value_z_scores_to_be_less_than", F::rows, "column threshold double_sided", "",
                     "z_scores"},
    KnownExpectation{"expect_column_pair_values_to_be_equal", F::rows, "column_A column_B", "ignore_row_if",
                     "pair_equal"},
    KnownExpectation{"expect_column_pair_values_a_to_be_greater_than_b", F::rows, "column_A column_B",
                     "or_equal ignore_row_if", "pair_greater"},
    KnownExpectation{"expect_column_pair_values_to_be_in_set", F::rows, "column_A column_B value_pairs_set",
                     "ignore_row_if", "accepted_pairs"},
    KnownExpectation{"expect_compound_columns_to_be_unique", F::rows, "column_list", "ignore_row_if", "unique"},
    KnownExpectation{"expect_select_column_values_to_be_unique_within_record", F::rows, "column_list", "ignore_row_if",
                     "unique_within_row"},
    KnownExpectation{"expect_multicolumn_values_to_be_equal", F::rows, "column_list", "ignore_row_if",
                     "equal_within_row"},
    KnownExpectation{"expect_multicolumn_sum_to_equal", F::rows, "column_list sum_total", "ignore_row_if",
                     "sum_within_row"},
    KnownExpectation{"penstock_condition", F::rows, "condition", "", "condition"},
    KnownExpectation{"expect_column_min_to_be_between", F::measure, "column", of_a_number, "min"},
    KnownExpectation{"expect_column_max_to_be_between", F::measure, "column", of_a_number, "max"},
    KnownExpectation{"expect_column_mean_to_be_between", F::measure, "column", of_a_number, "mean"},
    KnownExpectation{"expect_column_median_to_be_between", F::measure, "column", of_a_number, "median"},
    KnownExpectation{"expect_column_stdev_to_be_between", F::measure, "column", of_a_number, "stdev"},
    KnownExpectation{"expect_column_sum_to_be_between", F::measure, "column", of_a_number, "sum"},
    KnownExpectation{"expect_column_unique_value_count_to_be_between", F::measure, "column", of_a_number,
                     "distinct_count"},
    KnownExpectation{"expect_column_proportion_of_unique_values_to_be_between", F::measure, "column", of_a_number,
                     "distinct_share"},
    KnownExpectation{"expect_column_proportion_of_non_null_values_to_be_between", F::measure, "column", of_a_number,
                     "not_null_share"},
    KnownExpectation{"expect_column_quantile_values_to_be_between", F::measure, "column quantile_ranges",
                     "allow_relative_error", "quantiles"},
    KnownExpectation{"expect_column_distinct_values_to_be_in_set", F::measure, "column value_set", "",
                     "distinct_in_set"},
    KnownExpectation{"expect_column_distinct_values_to_contain_set", F::measure, "column value_set", "",
                     "distinct_contain"},
    KnownExpectation{"expect_column_distinct_values_to_equal_set", F::measure, "column value_set", "",
                     "distinct_equal"},
    KnownExpectation{"expect_column_most_common_value_to_be_in_set", F::measure, "column value_set", "ties_okay",
                     "most_common"},
    KnownExpectation{"expect_column_kl_divergence_to_be_less_than", F::measure, "column partition_object threshold",
                     "tail_weight_holdout internal_weight_holdout bucketize_data min_value max_value", "divergence"},
    KnownExpectation{"penstock_freshness", F::measure, "column max_age", "", "freshness"},
    KnownExpectation{"expect_table_row_count_to_be_between", F::table, "", of_a_number, "row_count"},
    KnownExpectation{"expect_table_row_count_to_equal_other_table", F::table, "other_table_name", "", "same_row_count"},
    KnownExpectation{"expect_table_row_count_to_equal", F::table, "value", "", "row_count"},
    KnownExpectation{"expect_table_column_count_to_be_between", F::table, "", "min_value max_value", "column_count"},
    KnownExpectation{"expect_table_column_count_to_equal", F::table, "value", "", "column_count"},
    KnownExpectation{"expect_table_columns_to_match_ordered_list", F::table, "column_list", "", "columns_in_order"},
    KnownExpectation{"expect_table_columns_to_match_set", F::table, "column_set", "exact_match", "columns"},
    KnownExpectation{"expect_column_to_exist", F::table, "column", "column_index", "column"},
    KnownExpectation{"unexpected_rows_expectation", F::query, "unexpected_rows_query", "description", "sql"},
};

/// Of Great Expectations' own, and why not.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> refused = {{
    {"expect_column_type_to_be", "types are the target's: `schema_change: reject` holds them"},
    {"expect_column_values_to_be_of_type", "types are the target's: `schema_change: reject` holds them"},
    {"expect_column_values_to_be_in_type_list", "types are the target's: `schema_change: reject` holds them"},
    {"expect_column_values_to_be_dateutil_parseable", "what Python's dateutil takes for a date, no engine can say"},
    {"expect_column_values_to_match_strftime_format", "what Python's strptime takes, no engine can say; use a regex"},
    {"expect_column_values_to_match_json_schema", "JSON Schema is not evaluated by engines of tables"},
    {"expect_column_values_to_not_be_outliers", "use expect_column_value_z_scores_to_be_less_than"},
    {"expect_query_results_to_match_comparison", "rows of two queries are not compared; one number is, by `same_as`"},
    {"expect_multicolumn_values_to_be_unique",
     "use expect_select_column_values_to_be_unique_within_record or expect_compound_columns_to_be_unique"},
    {"expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than",
     "Great Expectations 1.x does not compute it either"},
    {"expect_column_values_to_be_valid_date", "what Python takes for a date, no engine can say"},
    {"expect_column_pair_cramers_phi_value_to_be_less_than", "Great Expectations 1.x does not compute it either"},
    {"expect_column_bootstrapped_ks_test_p_value_to_be_greater_than",
     "Great Expectations 1.x does not compute it either"},
    {"expect_column_chisquare_test_p_value_to_be_greater_than", "Great Expectations 1.x does not compute it either"},
}};

std::vector<std::string> words(std::string_view text) {
    std::istringstream in{std::string(text)};
    std::vector<std::string> all;
    for (std::string word; in >> word;) all.push_back(word);
    return all;
}

/// Said of Great Expectations' own machinery, which changes no verdict.
bool has_no_effect(const std::string& name) {
    return name == "batch_id" || name == "result_format" || name == "catch_exceptions";
}

/// What is asked of rows or of their values; not what has SQL of its own, and not the table's columns.
bool takes_row_condition(const KnownExpectation& one) {
    if (one.type == "penstock_condition") return false;
    return one.family == F::rows || one.family == F::measure || one.short_name == "row_count";
}

Error unknown_type(const Expectation& expectation) {
    auto why = std::ranges::find(refused, expectation.type, [](const auto& one) { return std::string(one.first); });
    if (why != refused.end())
        return mistake(expectation.place, "expectation_not_available",
                       fmt::format("`{}` is not available: {}", expectation.type, why->second), "leave it out");
    std::vector<std::string> names;
    for (const auto& one : known)
        if (!one.type.starts_with("penstock_")) names.emplace_back(one.type);
    return mistake(
        expectation.place, "unknown_expectation",
        fmt::format("there is no expectation '{}'{}", expectation.type, config::did_you_mean(expectation.type, names)),
        "docs/how-to/quality.md lists them");
}

}  // namespace

Error mistake(const config::Place& place, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = place.text(),
            .hint = std::move(hint)};
}

const KnownExpectation* known_expectation(std::string_view type) {
    auto found = std::ranges::find(known, type, &KnownExpectation::type);
    return found == known.end() ? nullptr : &*found;
}

Status check_arguments(const Expectation& expectation) {
    const auto* of = known_expectation(expectation.type);
    if (of == nullptr) return fail(unknown_type(expectation));
    auto required = words(of->required), all = required;
    for (auto& name : words(of->optional)) all.push_back(std::move(name));
    for (const auto& entry : expectation.kwargs.entries) {
        if (std::ranges::find(all, entry.key) != all.end() || entry.value.is_null() || has_no_effect(entry.key))
            continue;
        if (entry.key == "row_condition" || entry.key == "condition_parser") {
            if (takes_row_condition(*of)) continue;
            return fail(mistake(entry.place, "expectation_not_available",
                                fmt::format("`{}` has no meaning for {}", entry.key, expectation.title()),
                                "leave it out, or write the condition into what is asked"));
        }
        return fail(mistake(
            entry.place, "unknown_key",
            fmt::format("{} has no argument '{}'{}", expectation.type, entry.key, config::did_you_mean(entry.key, all)),
            all.empty() ? "it has none" : fmt::format("its arguments: {}", fmt::join(all, ", "))));
    }
    for (const auto& name : required) {
        const auto* given = expectation.kwargs.find(name);
        if (given == nullptr || given->is_null())
            return fail(mistake(expectation.place, "argument_missing",
                                fmt::format("{} needs `{}`", expectation.type, name), "add it"));
    }
    bool bounded = of->optional.starts_with("min_value max_value");
    auto given = [&](const char* name) {
        const auto* value = expectation.kwargs.find(name);
        return value != nullptr && !value->is_null();
    };
    bool compared = given("last") || given("same_as");
    if (bounded && !compared && !given("min_value") && !given("max_value"))
        return fail(mistake(expectation.place, "argument_missing",
                            fmt::format("{} needs `min_value`, `max_value` or both", expectation.type), "add a bound"));
    PN_CHECK(check_comparison(expectation));
    PN_CHECK(check_row_condition(expectation));
    if (of->family != Family::rows && expectation.on_fail == OnFail::reject)
        return fail(
            mistake(expectation.place, "check_not_of_rows",
                    fmt::format("{} is not about single rows, so that none can be rejected", expectation.title()),
                    "use on_fail: stop or warn"));
    if (expectation.rows == CheckedRows::table && expectation.on_fail == OnFail::reject)
        return fail(mistake(
            expectation.place, "check_not_of_rows",
            fmt::format("{} is about all of the table, whose rows cannot become rejects any more", expectation.title()),
            "use on_fail: stop or warn"));
    return {};
}

}  // namespace penstock::check
