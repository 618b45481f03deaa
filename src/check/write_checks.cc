#include "check/write_checks.h"

#include <fmt/format.h>

namespace penstock::check {
namespace {

using config::Node;

/// A short form of `checks`: its arguments by the names that they have there.
struct Short {
    std::string_view type;
    const char* key;
    std::vector<std::pair<const char*, const char*>> arguments;
};

const std::vector<Short>& short_forms() {
    static const std::vector<Short> all = {
        {"expect_column_values_to_be_in_set", "accepted_values", {{"column", "column"}, {"value_set", "values"}}},
        {"expect_column_values_to_match_regex", "regex", {{"column", "column"}, {"regex", "pattern"}}},
        {"expect_column_values_to_be_between",
         "between",
         {{"column", "column"}, {"min_value", "min"}, {"max_value", "max"}}},
        {"expect_column_value_lengths_to_be_between",
         "length",
         {{"column", "column"}, {"min_value", "min"}, {"max_value", "max"}}},
        {"expect_table_row_count_to_be_between",
         "row_count",
         {{"min_value", "min"}, {"max_value", "max"}, {"last", "last"}, {"same_as", "same_as"}, {"within", "within"}}}};
    return all;
}

/// Nothing where an argument has no name there.
std::optional<Node> shortly(const Short& form, const Node& kwargs) {
    Node made = Node::map({});
    for (const auto& entry : kwargs.entries) {
        auto named = std::ranges::find_if(form.arguments, [&](const auto& one) { return entry.key == one.first; });
        if (named == form.arguments.end()) return {};
        made.entries.push_back({named->second, {}, entry.value});
    }
    return made;
}

Node what_it_asks(const Expectation& one, std::string& key) {
    const auto* column = one.kwargs.find("column");
    if (one.type == "expect_column_values_to_not_be_null" && one.kwargs.entries.size() == 1)
        return key = "not_null", *column;
    if (one.type == "expect_column_values_to_be_unique" && one.kwargs.entries.size() == 1)
        return key = "unique", *column;
    if (one.type == "expect_compound_columns_to_be_unique" && one.kwargs.entries.size() == 1)
        return key = "unique", *one.kwargs.find("column_list");
    if (one.type == "unexpected_rows_expectation" && one.kwargs.entries.size() == 1)
        return key = "sql", *one.kwargs.find("unexpected_rows_query");
    for (const auto& form : short_forms()) {
        if (form.type != one.type) continue;
        if (auto made = shortly(form, one.kwargs)) return key = form.key, std::move(*made);
    }
    key = "expect";
    Node made = Node::map({{"type", {}, Node::scalar(one.type)}});
    for (const auto& entry : one.kwargs.entries) made.entries.push_back(entry);
    return made;
}

}  // namespace

Node write_checks(const std::vector<Expectation>& expectations) {
    std::vector<Node> checks;
    for (const auto& one : expectations) {
        std::string key;
        Node asked = what_it_asks(one, key);
        Node check = Node::map({{key, {}, std::move(asked)}});
        auto add = [&](const char* name, std::string text) {
            check.entries.push_back({name, {}, Node::scalar(std::move(text))});
        };
        if (!one.name.empty()) add("name", one.name);
        if (one.mostly != 1) add("mostly", fmt::format("{}", one.mostly));
        if (one.severity != Severity::critical) add("severity", std::string(config::to_string(one.severity)));
        auto usual = one.severity == Severity::critical ? OnFail::stop : OnFail::warn;
        if (one.on_fail != usual) add("on_fail", std::string(config::to_string(one.on_fail)));
        checks.push_back(std::move(check));
    }
    Node made = Node::map({{"checks", {}, Node::sequence(std::move(checks))}});
    config::assign_paths(made);
    return made;
}

}  // namespace penstock::check
