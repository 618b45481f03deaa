#include <fmt/format.h>

#include "check/compare.h"
#include "check/expectation.h"

namespace penstock::check {
namespace {

using config::Check;
using config::CheckManner;
using config::Node;

Node text(const config::Text& value) {
    auto node = Node::scalar(value.value, true);
    node.place = value.place;
    return node;
}

void put(Node& kwargs, std::string name, Node value) {
    if (value.is_null()) return;
    auto place = value.place;
    kwargs.entries.push_back({std::move(name), place, std::move(value)});
}

/// What stands at the check itself, with what stands inside of it over that.
CheckManner over(CheckManner base, const CheckManner& inner) {
    if (!inner.name.empty()) base.name = inner.name;
    if (inner.mostly) base.mostly = inner.mostly;
    if (inner.on_fail) base.on_fail = inner.on_fail;
    if (inner.severity) base.severity = inner.severity;
    if (inner.rows) base.rows = inner.rows;
    return base;
}

class Made {
  public:
    Made(const config::Located<Check>& check, std::vector<Expectation>& all) : check_(check), all_(all) {}

    Node& add(const char* type, const CheckManner& inner = {}) {
        auto manner = over(check_.value, inner);
        Expectation made{.type = type, .kwargs = Node::map({}), .place = check_.place, .name = manner.name.value};
        made.kwargs.place = check_.place;
        made.mostly = manner.mostly.value_or(1);
        made.severity = manner.severity.value_or(Severity::critical);
        made.on_fail = manner.on_fail.value_or(made.severity == Severity::critical ? OnFail::stop : OnFail::warn);
        made.rows = manner.rows.value_or(made.type == "penstock_freshness" ? CheckedRows::table : CheckedRows::batch);
        made.tables = check_.value.tables;
        all_.push_back(std::move(made));
        return all_.back().kwargs;
    }

  private:
    const config::Located<Check>& check_;
    std::vector<Expectation>& all_;
};

void add_columns(const Check& check, Made& made) {
    for (const auto& column : check.not_null)
        put(made.add("expect_column_values_to_not_be_null"), "column", text(column));
    if (check.unique.size() == 1)
        put(made.add("expect_column_values_to_be_unique"), "column", text(check.unique.front()));
    if (check.unique.size() < 2) return;
    std::vector<Node> columns;
    for (const auto& column : check.unique) columns.push_back(text(column));
    put(made.add("expect_compound_columns_to_be_unique"), "column_list", Node::sequence(std::move(columns)));
}

void add_range(const char* type, const config::RangeCheck& range, Made& made) {
    auto& kwargs = made.add(type, range);
    put(kwargs, "column", text(range.column));
    put(kwargs, "min_value", range.min);
    put(kwargs, "max_value", range.max);
}

Node node_of(const config::OtherTable& other) {
    Node map = Node::map({});
    for (const auto& [name, value] : {std::pair{"connection", &other.connection},
                                      {"table", &other.table},
                                      {"where", &other.where},
                                      {"query", &other.query}})
        if (!value->empty()) map.entries.push_back({name, value->place, text(*value)});
    map.place = map.entries.empty() ? config::Place() : map.entries.front().place;
    return map;
}

void add_maps(const Check& check, Made& made) {
    if (check.accepted_values) {
        auto& kwargs = made.add("expect_column_values_to_be_in_set", *check.accepted_values);
        put(kwargs, "column", text(check.accepted_values->column));
        put(kwargs, "value_set", Node::sequence(check.accepted_values->values));
    }
    if (check.regex) {
        auto& kwargs = made.add("expect_column_values_to_match_regex", *check.regex);
        put(kwargs, "column", text(check.regex->column));
        put(kwargs, "regex", text(check.regex->pattern));
    }
    if (check.between) add_range("expect_column_values_to_be_between", *check.between, made);
    if (check.length) add_range("expect_column_value_lengths_to_be_between", *check.length, made);
    if (check.row_count) {
        auto manner = *check.row_count;
        // Another table is compared with the target's.
        if (manner.same_as && !manner.rows && !check.rows) manner.rows = CheckedRows::table;
        auto& kwargs = made.add("expect_table_row_count_to_be_between", manner);
        if (check.row_count->min) put(kwargs, "min_value", Node::scalar(std::to_string(*check.row_count->min)));
        if (check.row_count->max) put(kwargs, "max_value", Node::scalar(std::to_string(*check.row_count->max)));
        if (check.row_count->last) put(kwargs, "last", Node::scalar(std::to_string(*check.row_count->last)));
        if (check.row_count->same_as) put(kwargs, "same_as", node_of(*check.row_count->same_as));
        if (!check.row_count->within.empty()) put(kwargs, "within", text(check.row_count->within));
    }
    if (check.freshness) {
        auto& kwargs = made.add("penstock_freshness", *check.freshness);
        put(kwargs, "column", text(check.freshness->column));
        auto seconds = static_cast<double>(check.freshness->max_age.count()) / 1e6;
        put(kwargs, "max_age", Node::scalar(fmt::format("{}", seconds)));
    }
}

Status add_expect(const config::Located<Check>& check, Made& made, std::vector<Expectation>& all) {
    const auto& given = check.value.expect;
    const auto* type = given.find("type");
    if (type == nullptr || !type->is_scalar())
        return fail(mistake(given.place, "argument_missing", "`expect` needs the `type` of an expectation",
                            "expect: {type: expect_column_mean_to_be_between, column: age, min_value: 18}"));
    auto& kwargs = made.add(type->text.c_str());
    for (const auto& entry : given.entries)
        if (entry.key != "type" && entry.key != "mostly") put(kwargs, entry.key, entry.value);
    if (const auto* mostly = given.find("mostly")) {
        char* end = nullptr;
        double share = std::strtod(mostly->text.c_str(), &end);
        if (!mostly->is_scalar() || mostly->text.empty() || *end != 0 || !(share >= 0 && share <= 1))
            return fail(mistake(mostly->place, "wrong_type", "`mostly` is a share from 0 to 1", "such as 0.95"));
        all.back().mostly = share;
    }
    if (compares_tables(all.back()) && !check.value.rows) all.back().rows = CheckedRows::table;
    return {};
}

Status refuse_mostly(const Expectation& expectation) {
    const auto* known = known_expectation(expectation.type);
    if (expectation.mostly == 1 || known == nullptr || known->family == Family::rows) return {};
    return fail(mistake(expectation.place, "option_without_effect",
                        fmt::format("`mostly` is for checks of rows, and {} is none", expectation.title()),
                        "leave it out"));
}

}  // namespace

std::string Expectation::columns() const {
    std::string all;
    auto add = [&](const Node& node) { all += (all.empty() ? "" : ", ") + node.text; };
    for (const char* argument : {"column", "column_A", "column_B", "column_list"})
        if (const auto* given = kwargs.find(argument)) {
            if (given->is_sequence())
                for (const auto& item : given->items) add(item);
            else add(*given);
        }
    return type.starts_with("expect_table") ? "" : all;
}

std::string Expectation::title() const {
    if (!name.empty()) return name;
    const auto* known = known_expectation(type);
    std::string what(known == nullptr ? type : known->short_name);
    if (type == "penstock_condition") return fmt::format("condition {}", kwargs.find("condition")->text);
    auto of = columns();
    return of.empty() ? what : fmt::format("{} of {}", what, of);
}

Result<std::vector<Expectation>> read_checks(const std::vector<config::Located<config::Check>>& checks) {
    std::vector<Expectation> all;
    for (const auto& check : checks) {
        const auto& one = check.value;
        size_t before = all.size();
        Made made(check, all);
        add_columns(one, made);
        add_maps(one, made);
        if (!one.condition.empty()) put(made.add("penstock_condition"), "condition", text(one.condition));
        if (!one.sql.empty()) put(made.add("unexpected_rows_expectation"), "unexpected_rows_query", text(one.sql));
        if (!one.expect.is_null()) PN_CHECK(add_expect(check, made, all));
        if (!one.suite.empty()) {
            PN_TRY(auto suite, read_suite(one.suite.value, one.suite.place, one));
            for (auto& expectation : suite) {
                expectation.tables = one.tables;
                all.push_back(std::move(expectation));
            }
        }
        for (size_t i = before; i < all.size(); ++i) {
            PN_CHECK(check_arguments(all[i]));
            PN_CHECK(refuse_mostly(all[i]));
        }
    }
    return all;
}

}  // namespace penstock::check
