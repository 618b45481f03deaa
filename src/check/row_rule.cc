#include "check/row_rule.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace penstock::check {
namespace {

using Fields = std::vector<const data::Field*>;

/// A condition that counts a NULL as false.
std::string surely(const std::string& condition) { return fmt::format("coalesce({}, false)", condition); }
std::string unless(const std::string& condition) { return fmt::format("NOT {}", surely(condition)); }

Result<std::string> within(const Arguments& arguments, const std::string& value, const data::Type& type) {
    std::string condition;
    auto add = [&](const char* name, const char* strict, const char* sign) -> Status {
        const auto* bound = arguments.find(name);
        if (bound == nullptr) return {};
        PN_TRY(auto limit, arguments.value(*bound, type));
        condition += fmt::format("{}{} {}{} {}", condition.empty() ? "" : " AND ", value, sign,
                                 arguments.flag(strict) ? "" : "=", limit);
        return {};
    };
    PN_CHECK(add("min_value", "strict_min", ">"));
    PN_CHECK(add("max_value", "strict_max", "<"));
    return condition;
}

/// Any of several patterns, or all of them, in a value.
Result<std::string> in_list(const Arguments& arguments, const char* name, const std::string& value, bool regex) {
    PN_TRY(auto patterns, arguments.texts(name));
    auto match_on = arguments.text("match_on");
    if (!match_on.empty() && match_on != "any" && match_on != "all")
        return fail(arguments.wrong(*arguments.find("match_on"), "any or all"));
    std::vector<std::string> all;
    for (const auto& pattern : patterns)
        all.push_back(regex ? arguments.dialect().matches(value, pattern) : arguments.dialect().like(value, pattern));
    return fmt::format("({})", fmt::join(all, match_on == "all" ? " AND " : " OR "));
}

const data::Type& length_type() {
    static const auto type = data::scalar(data::Kind::int64);
    return type;
}

Result<std::string> of_value(const Arguments& arguments, const data::Field& field, const std::string& column) {
    const auto& type = arguments.expectation().type;
    const auto& dialect = arguments.dialect();
    auto is = [&](std::string_view name) { return type == std::string("expect_column_").append(name); };
    if (is("values_to_be_in_set") || is("values_to_not_be_in_set")) {
        PN_TRY(auto values, arguments.values("value_set", field.type));
        auto in = surely(fmt::format("{} IN ({})", column, values));
        return is("values_to_be_in_set") ? "NOT " + in : in;
    }
    if (is("values_to_be_between")) {
        PN_TRY(auto condition, within(arguments, column, field.type));
        return unless(condition);
    }
    if (is("value_lengths_to_be_between")) {
        PN_TRY(auto condition, within(arguments, dialect.characters(column), length_type()));
        return unless(condition);
    }
    if (is("value_lengths_to_equal")) {
        PN_TRY(auto length, arguments.integer("value"));
        return unless(fmt::format("{} = {}", dialect.characters(column), length));
    }
    if (is("values_to_match_regex")) return unless(dialect.matches(column, arguments.text("regex")));
    if (is("values_to_not_match_regex")) return surely(dialect.matches(column, arguments.text("regex")));
    if (is("values_to_match_like_pattern")) return unless(dialect.like(column, arguments.text("like_pattern")));
    if (is("values_to_not_match_like_pattern")) return surely(dialect.like(column, arguments.text("like_pattern")));
    if (is("values_to_be_json_parseable")) return unless(dialect.is_json(column));
    for (bool regex : {true, false}) {
        std::string kind = regex ? "regex_list" : "like_pattern_list";
        if (!is("values_to_match_" + kind) && !is("values_to_not_match_" + kind)) continue;
        PN_TRY(auto found, in_list(arguments, kind.c_str(), column, regex));
        return is("values_to_match_" + kind) ? unless(found) : surely(found);
    }
    return std::string();
}

Result<RowRule> of_column(const Arguments& arguments, const std::string& table) {
    PN_TRY(const auto* field, arguments.column("column"));
    const auto& dialect = arguments.dialect();
    const auto& type = arguments.expectation().type;
    std::string column = dialect.name(field->name);
    RowRule rule{.missing = column + " IS NULL", .unexpected = "", .columns = {field->name}};
    if (type.ends_with("_be_null")) {
        bool wanted = type == "expect_column_values_to_be_null";
        rule = {.unexpected = fmt::format("{} IS {}NULL", column, wanted ? "NOT " : ""),
                .columns = rule.columns,
                .all_count = true};
        return rule;
    }
    if (type == "expect_column_values_to_be_unique") {
        rule.unexpected = surely(fmt::format(
            "{0} IN (SELECT {0} FROM {1} WHERE {0} IS NOT NULL GROUP BY {0} HAVING count(*) > 1)", column, table));
        return rule;
    }
    if (type.ends_with("_increasing") || type.ends_with("_decreasing")) {
        if (dialect.row_order().empty() || arguments.expectation().rows == CheckedRows::table)
            return fail(mistake(arguments.expectation().place, "check_needs_order",
                                fmt::format("{} is about the order of rows, and those of a table have none",
                                            arguments.expectation().title()),
                                "ask it of the batch: `rows: batch`"));
        rule.window =
            fmt::format("lag({} IGNORE NULLS) OVER (ORDER BY {}) AS penstock_before", column, dialect.row_order());
        bool up = type.ends_with("_increasing");
        rule.unexpected = fmt::format("NOT coalesce({} {}{} penstock_before, true)", column, up ? ">" : "<",
                                      arguments.flag("strictly") ? "" : "=");
        return rule;
    }
    if (type == "expect_column_value_z_scores_to_be_less_than") {
        if (!is_number(field->type)) return fail(arguments.wrong(*arguments.find("column"), "a column of numbers"));
        PN_TRY(double threshold, arguments.number("threshold"));
        bool both = arguments.flag("double_sided");
        std::string real = dialect.real(column);
        auto score = fmt::format("({0} - (SELECT avg({0}) FROM {1})) / nullif((SELECT stddev_samp({0}) FROM {1}), 0)",
                                 real, table);
        // Where all values are the same none is far from the others.
        rule.unexpected = fmt::format("NOT coalesce({}({}) < {}, true)", both ? "abs" : "", score,
                                      both ? std::abs(threshold) : threshold);
        return rule;
    }
    PN_TRY(rule.unexpected, of_value(arguments, *field, column));
    return rule;
}

std::string all_null(const Fields& fields, const Dialect& dialect, const char* join) {
    std::string condition;
    for (const auto* field : fields)
        condition += fmt::format("{}{} IS NULL", condition.empty() ? "" : join, dialect.name(field->name));
    return fmt::format("({})", condition);
}

/// Which rows are not judged, by `ignore_row_if`.
Result<std::string> ignored(const Arguments& arguments, const Fields& fields, bool pair) {
    auto said = arguments.text("ignore_row_if");
    if (said.empty()) said = pair ? "both_values_are_missing" : "all_values_are_missing";
    if (said == (pair ? "both_values_are_missing" : "all_values_are_missing"))
        return all_null(fields, arguments.dialect(), " AND ");
    if (said == (pair ? "either_value_is_missing" : "any_value_is_missing"))
        return all_null(fields, arguments.dialect(), " OR ");
    if (said == (pair ? "neither" : "never")) return std::string("false");
    return fail(arguments.wrong(*arguments.find("ignore_row_if"),
                                pair ? "both_values_are_missing, either_value_is_missing or neither"
                                     : "all_values_are_missing, any_value_is_missing or never"));
}

Result<RowRule> of_pair(const Arguments& arguments) {
    PN_TRY(const auto* a, arguments.column("column_A"));
    PN_TRY(const auto* b, arguments.column("column_B"));
    const auto& dialect = arguments.dialect();
    RowRule rule{.unexpected = "", .columns = {a->name, b->name}};
    PN_TRY(rule.missing, ignored(arguments, {a, b}, true));
    std::string left = dialect.name(a->name), right = dialect.name(b->name);
    const auto& type = arguments.expectation().type;
    if (type == "expect_column_pair_values_to_be_equal") {
        rule.unexpected = unless(fmt::format("{} = {}", left, right));
    } else if (type == "expect_column_pair_values_a_to_be_greater_than_b") {
        rule.unexpected = unless(fmt::format("{} >{} {}", left, arguments.flag("or_equal") ? "=" : "", right));
    } else {
        PN_TRY(auto pairs, arguments.list("value_pairs_set"));
        std::vector<std::string> any;
        for (const auto& pair : pairs) {
            if (!pair.is_sequence() || pair.items.size() != 2)
                return fail(arguments.wrong(pair, "a list of two values"));
            auto same = [&](const std::string& column, const config::Node& node,
                            const data::Type& of) -> Result<std::string> {
                if (node.is_null()) return column + " IS NULL";
                PN_TRY(auto value, arguments.value(node, of));
                return fmt::format("{} = {}", column, value);
            };
            PN_TRY(auto first, same(left, pair.items[0], a->type));
            PN_TRY(auto second, same(right, pair.items[1], b->type));
            any.push_back(fmt::format("({} AND {})", first, second));
        }
        rule.unexpected = unless(fmt::format("({})", fmt::join(any, " OR ")));
    }
    return rule;
}

std::string each_pair(const std::vector<std::string>& columns, bool equal) {
    std::vector<std::string> all;
    for (size_t i = 0; i < columns.size(); ++i)
        for (size_t j = i + 1; j < columns.size(); ++j)
            all.push_back(fmt::format("{} IS {}DISTINCT FROM {}", columns[i], equal ? "" : "NOT ", columns[j]));
    return fmt::format("({})", fmt::join(all, " OR "));
}

Result<RowRule> of_several(const Arguments& arguments, const std::string& table) {
    PN_TRY(auto fields, arguments.columns("column_list"));
    const auto& dialect = arguments.dialect();
    RowRule rule;
    std::vector<std::string> columns;
    for (const auto* field : fields) {
        rule.columns.push_back(field->name);
        columns.push_back(dialect.name(field->name));
    }
    PN_TRY(rule.missing, ignored(arguments, fields, false));
    const auto& type = arguments.expectation().type;
    if (type == "expect_compound_columns_to_be_unique") {
        std::string several = dialect.together(rule.columns);
        rule.unexpected =
            surely(fmt::format("{0} IN (SELECT {0} FROM {1} WHERE NOT {2} GROUP BY {0} HAVING count(*) > 1)", several,
                               table, rule.missing));
    } else if (type == "expect_select_column_values_to_be_unique_within_record") {
        rule.unexpected = each_pair(columns, false);
    } else if (type == "expect_multicolumn_values_to_be_equal") {
        rule.unexpected = each_pair(columns, true);
    } else {
        for (const auto* field : fields)
            if (!is_number(field->type))
                return fail(arguments.wrong(*arguments.find("column_list"), "columns of numbers"));
        PN_TRY(double total, arguments.number("sum_total"));
        std::vector<std::string> terms;
        for (const auto& column : columns) terms.push_back(fmt::format("coalesce({}, 0)", column));
        rule.unexpected = unless(fmt::format("{} = {}", fmt::join(terms, " + "), total));
    }
    return rule;
}

}  // namespace

Result<RowRule> row_rule(const Arguments& arguments, const std::string& table) {
    if (arguments.has("condition"))
        return RowRule{.unexpected = fmt::format("NOT coalesce(({}\n), true)", arguments.text("condition")),
                       .columns = {}};
    if (arguments.has("column_A")) return of_pair(arguments);
    return arguments.has("column_list") ? of_several(arguments, table) : of_column(arguments, table);
}

}  // namespace penstock::check
