#include "check/measure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "check/divergence.h"

namespace penstock::check {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t most_shown = 100;

const data::Type& real_type() {
    static const auto type = data::scalar(data::Kind::float64);
    return type;
}

struct Asked {
    const Arguments& arguments;
    const flow::AskedTable& table;
    const data::Field& field;
    std::string column;

    const Dialect& dialect() const { return arguments.dialect(); }
    std::string_view type() const { return arguments.expectation().type; }
    Result<Json> list(const std::string& sql) const {
        PN_TRY(auto rows, table.ask(sql));
        Json all = Json::array();
        for (const auto& row : rows) all.push_back(Json::parse(row.at(0).value_or("null"), nullptr, false));
        return all;
    }
    Result<std::vector<int64_t>> numbers(const std::string& sql) const {
        PN_TRY(auto rows, table.ask(sql));
        std::vector<int64_t> all;
        for (const auto& cell : rows.at(0)) all.push_back(std::strtoll(cell.value_or("0").c_str(), nullptr, 10));
        return all;
    }
};

/// Bounds of `v`, which is of the type.
Result<std::string> bounds(const Arguments& arguments, const data::Type& type) {
    std::string condition = "v IS NOT NULL";
    auto add = [&](const char* name, const char* strict, const char* sign) -> Status {
        const auto* bound = arguments.find(name);
        if (bound == nullptr) return {};
        PN_TRY(auto limit, arguments.value(*bound, type));
        condition += fmt::format(" AND v {}{} {}", sign, arguments.flag(strict) ? "" : "=", limit);
        return {};
    };
    PN_CHECK(add("min_value", "strict_min", ">"));
    PN_CHECK(add("max_value", "strict_max", "<"));
    return condition;
}

Result<Measured> judge(const Asked& asked, const std::string& query, const data::Type& type) {
    PN_TRY(auto condition, bounds(asked.arguments, type));
    PN_TRY(auto rows, asked.table.ask(fmt::format("SELECT {}, {} FROM ({}) AS m", asked.dialect().json("v"),
                                                  asked.dialect().count_where(condition), query) +
                                      " GROUP BY 1"));
    if (rows.empty()) return Measured{.observed = "null"};
    return Measured{.success = rows[0].at(1) == "1", .observed = rows[0].at(0).value_or("null")};
}

Result<std::optional<Measured>> figure(const Asked& asked) {
    const auto& c = asked.column;
    const auto& from = asked.table.name;
    auto is = [&](std::string_view what) {
        return asked.type() == fmt::format("expect_column_{}_to_be_between", what);
    };
    auto of = [&](const std::string& expression) { return fmt::format("SELECT {} AS v FROM {}", expression, from); };
    std::string query;
    const data::Type* type = &real_type();
    std::string distinct = fmt::format("count(DISTINCT {})", c);
    if (is("min")) query = of(fmt::format("min({})", c)), type = &asked.field.type;
    else if (is("max")) query = of(fmt::format("max({})", c)), type = &asked.field.type;
    else if (is("unique_value_count")) query = of(distinct);
    else if (is("proportion_of_unique_values"))
        query = of(fmt::format("coalesce({} / nullif(count({}) * 1.0, 0), 0)", asked.dialect().real(distinct), c));
    else if (is("proportion_of_non_null_values"))
        query = of(fmt::format("coalesce({} / nullif(count(*) * 1.0, 0), 0)",
                               asked.dialect().real(fmt::format("count({})", c))));
    bool of_numbers = is("mean") || is("median") || is("stdev") || is("sum");
    if (of_numbers && !is_number(asked.field.type))
        return fail(asked.arguments.wrong(*asked.arguments.find("column"), "a column of numbers"));
    if (is("mean")) query = of(fmt::format("avg({})", asked.dialect().real(c)));
    if (is("median")) query = asked.dialect().median(c, from);
    if (is("stdev")) query = of(fmt::format("stddev_samp({})", asked.dialect().real(c)));
    if (is("sum")) query = of(fmt::format("coalesce(sum({}), 0)", c));
    if (query.empty()) return std::optional<Measured>();
    PN_TRY(auto measured, judge(asked, query, *type));
    return std::optional(std::move(measured));
}

Result<Measured> freshness(const Asked& asked) {
    using data::Kind;
    auto kind = asked.field.type.kind;
    if (kind != Kind::date && kind != Kind::timestamp && kind != Kind::timestamptz)
        return fail(asked.arguments.wrong(*asked.arguments.find("column"), "a column with dates or times"));
    PN_TRY(double most, asked.arguments.number("max_age"));
    PN_TRY(auto rows,
           asked.table.ask(fmt::format(
               "SELECT {}, {} FROM (SELECT max({}) AS v FROM {}) AS m", asked.dialect().json("v"),
               asked.dialect().text(asked.dialect().age("v", asked.field.type)), asked.column, asked.table.name)));
    const auto& age = rows.at(0).at(1);
    bool fresh = age && std::strtod(age->c_str(), nullptr) <= most;
    return Measured{.success = fresh, .observed = rows[0].at(0).value_or("null")};
}

/// As numpy's `nearest`: the value at the index q(n - 1), rounded half to even.
Result<Measured> quantiles(const Asked& asked) {
    const auto& ranges = *asked.arguments.find("quantile_ranges");
    const auto *at = ranges.find("quantiles"), *allowed = ranges.find("value_ranges");
    if (at == nullptr || allowed == nullptr || at->items.empty() || at->items.size() != allowed->items.size())
        return fail(asked.arguments.wrong(ranges, "as many `value_ranges` as `quantiles`"));
    if (const auto* relative = asked.arguments.find("allow_relative_error");
        relative != nullptr && relative->text != "false")
        return fail(asked.arguments.wrong(*relative, "false: quantiles are exact"));
    PN_TRY(auto count, asked.numbers(fmt::format("SELECT count({}) FROM {}", asked.column, asked.table.name)));
    Json values = Json::array();
    bool success = true;
    for (size_t i = 0; i < at->items.size(); ++i) {
        double q = std::strtod(at->items[i].text.c_str(), nullptr);
        const auto& range = allowed->items[i];
        if (q < 0 || q > 1 || range.items.size() != 2)
            return fail(asked.arguments.wrong(range, "[least, most] of a share from 0 to 1"));
        std::string condition = "v IS NOT NULL";
        for (size_t side : {0, 1}) {
            if (range.items[side].is_null()) continue;
            PN_TRY(auto limit, asked.arguments.value(range.items[side], asked.field.type));
            condition += fmt::format(" AND v {} {}", side == 0 ? ">=" : "<=", limit);
        }
        auto index =
            static_cast<int64_t>(std::nearbyint(q * static_cast<double>(std::max<int64_t>(count.at(0) - 1, 0))));
        PN_TRY(auto rows,
               asked.table.ask(fmt::format(
                   "SELECT {0}, CASE WHEN {1} THEN 1 ELSE 0 END FROM (SELECT {2} AS v FROM {3} WHERE {2} IS NOT NULL "
                   "ORDER BY {2} LIMIT 1 OFFSET {4}) AS m",
                   asked.dialect().json("v"), condition, asked.column, asked.table.name, index)));
        if (rows.empty()) {
            values.push_back(nullptr);
            success = false;
            continue;
        }
        values.push_back(Json::parse(rows[0].at(0).value_or("null"), nullptr, false));
        success = success && rows[0].at(1) == "1";
    }
    Json said = Json::array();
    for (const auto& item : at->items) said.push_back(std::strtod(item.text.c_str(), nullptr));
    return Measured{.success = success, .observed = Json{{"quantiles", said}, {"values", values}}.dump()};
}

/// How many different values the expectation names.
Result<int64_t> named_values(const Asked& asked) {
    PN_TRY(auto nodes, asked.arguments.list("value_set"));
    std::vector<std::string> all;
    for (const auto& node : nodes) {
        PN_TRY(auto value, asked.arguments.value(node, asked.field.type));
        all.push_back(fmt::format("SELECT {} AS v", value));
    }
    PN_TRY(auto count,
           asked.numbers(fmt::format("SELECT count(DISTINCT v) FROM ({}) AS m", fmt::join(all, " UNION ALL "))));
    return count.at(0);
}

Result<Measured> set_of_values(const Asked& asked) {
    PN_TRY(auto values, asked.arguments.values("value_set", asked.field.type));
    const auto &c = asked.column, &from = asked.table.name;
    bool modes = asked.type() == "expect_column_most_common_value_to_be_in_set";
    std::string groups =
        fmt::format("SELECT {0} AS v, count(*) AS n FROM {1} WHERE {0} IS NOT NULL GROUP BY {0}", c, from);
    if (modes) groups += fmt::format(" HAVING count(*) = (SELECT max(n) FROM ({}) AS c)", groups);
    PN_TRY(auto counts,
           asked.numbers(fmt::format("SELECT count(*), {} FROM ({}) AS m",
                                     asked.dialect().count_where(fmt::format("v IN ({})", values)), groups)));
    PN_TRY(auto shown, asked.list(fmt::format("SELECT {} FROM ({}) AS m ORDER BY v LIMIT {}", asked.dialect().json("v"),
                                              groups, most_shown)));
    int64_t distinct = counts.at(0), inside = counts.at(1);
    PN_TRY(int64_t wanted, named_values(asked));
    Measured measured{.observed = shown.dump()};
    if (modes) {
        measured.success = asked.arguments.flag("ties_okay") ? inside > 0 : distinct == 1 && inside == 1;
        return measured;
    }
    if (!asked.type().ends_with("_contain_set")) measured.unexpected = distinct - inside;
    if (!asked.type().ends_with("_be_in_set")) measured.lacking = wanted - inside;
    measured.success = measured.unexpected <= 0 && measured.lacking <= 0;
    return measured;
}

Json names_of(const data::Schema& schema) {
    Json names = Json::array();
    for (const auto& field : schema.fields) names.push_back(field.name);
    return names;
}

Result<bool> in_bounds(const Arguments& arguments, int64_t count) {
    auto value = static_cast<double>(count);
    if (arguments.has("value")) {
        PN_TRY(double wanted, arguments.number("value"));
        return value == wanted;
    }
    bool good = true;
    if (arguments.has("min_value")) {
        PN_TRY(double least, arguments.number("min_value"));
        good = arguments.flag("strict_min") ? value > least : value >= least;
    }
    if (arguments.has("max_value")) {
        PN_TRY(double most, arguments.number("max_value"));
        good = good && (arguments.flag("strict_max") ? value < most : value <= most);
    }
    return good;
}

}  // namespace

Result<Measured> measure(const Arguments& arguments, const flow::AskedTable& table) {
    PN_TRY(const auto* field, arguments.column("column"));
    Asked asked{arguments, table, *field, arguments.dialect().name(field->name)};
    if (asked.type() == "penstock_freshness") return freshness(asked);
    if (asked.type() == "expect_column_kl_divergence_to_be_less_than") return divergence(arguments, table);
    if (asked.type() == "expect_column_quantile_values_to_be_between") return quantiles(asked);
    PN_TRY(auto measured, figure(asked));
    if (measured) return std::move(*measured);
    return set_of_values(asked);
}

Result<Measured> measure_table(const Arguments& arguments, const flow::AskedTable& table) {
    const auto& type = arguments.expectation().type;
    auto names = names_of(table.schema);
    if (type.starts_with("expect_table_row_count")) {
        PN_TRY(auto rows, table.ask(fmt::format("SELECT count(*) FROM {}", table.name)));
        int64_t count = std::strtoll(rows.at(0).at(0).value_or("0").c_str(), nullptr, 10);
        PN_TRY(bool good, in_bounds(arguments, count));
        return Measured{.success = good, .observed = std::to_string(count), .rows = count};
    }
    if (type.starts_with("expect_table_column_count")) {
        PN_TRY(bool good, in_bounds(arguments, static_cast<int64_t>(names.size())));
        return Measured{.success = good, .observed = std::to_string(names.size())};
    }
    if (type == "expect_column_to_exist") {
        int at = table.schema.find(arguments.text("column"));
        bool good = at >= 0;
        if (good && arguments.has("column_index")) {
            PN_TRY(auto index, arguments.integer("column_index"));
            good = index == at;
        }
        return Measured{.success = good, .observed = ""};
    }
    bool ordered = type == "expect_table_columns_to_match_ordered_list";
    PN_TRY(auto wanted, arguments.texts(ordered ? "column_list" : "column_set"));
    bool good = false;
    if (ordered) {
        good = names == Json(wanted);
    } else {
        bool exact = !arguments.has("exact_match") || arguments.flag("exact_match");
        good = std::ranges::all_of(wanted, [&](const auto& name) { return table.schema.find(name) >= 0; });
        if (exact)
            for (const auto& field : table.schema.fields)
                good = good && std::ranges::find(wanted, field.name) != wanted.end();
    }
    return Measured{.success = good, .observed = names.dump()};
}

}  // namespace penstock::check
