#include "check/evaluate.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "check/compare.h"
#include "check/json_of_node.h"
#include "check/measure.h"
#include "check/row_condition.h"
#include "check/row_rule.h"

namespace penstock::check {
namespace {

using Json = nlohmann::ordered_json;

constexpr int most_examples = 20;

std::string source_of(const RowRule& rule, const flow::AskedTable& table, const Dialect& dialect) {
    if (rule.window.empty()) return table.name + " AS S";
    return fmt::format("(SELECT *, {} AS penstock_row, {} FROM {}) AS S", dialect.row_order(), rule.window, table.name);
}

std::string at_fault(const RowRule& rule) { return fmt::format("NOT ({}) AND {}", rule.missing, rule.unexpected); }

int64_t number(const std::optional<std::string>& cell) { return std::strtoll(cell.value_or("0").c_str(), nullptr, 10); }

Json parsed(const std::optional<std::string>& cell) {
    auto json = Json::parse(cell.value_or("null"), nullptr, false);
    return json.is_discarded() ? Json(cell.value_or("")) : json;
}

Json share(int64_t part, int64_t of) {
    return of == 0 ? Json(nullptr) : Json(100.0 * static_cast<double>(part) / static_cast<double>(of));
}

/// Great Expectations' own figures of an expectation of rows.
Json figures(const RowRule& rule, int64_t rows, int64_t judged, int64_t unexpected) {
    Json result = {
        {"element_count", rows}, {"unexpected_count", unexpected}, {"unexpected_percent", share(unexpected, judged)}};
    if (rule.all_count) return result;
    result["missing_count"] = rows - judged;
    result["missing_percent"] = share(rows - judged, rows);
    result["unexpected_percent_total"] = share(unexpected, rows);
    result["unexpected_percent_nonmissing"] = share(unexpected, judged);
    return result;
}

Status show_unexpected(const RowRule& rule, const flow::AskedTable& table, const Dialect& dialect, Json& result) {
    std::string value;
    if (rule.columns.empty()) value = dialect.json_of_row("S");
    else value = rule.columns.size() == 1 ? dialect.json(dialect.name(rule.columns[0])) : dialect.json_of(rule.columns);
    std::string from = fmt::format("FROM {} WHERE {}", source_of(rule, table, dialect), at_fault(rule));
    std::string order = dialect.row_order().empty() || !rule.window.empty() || rule.columns.empty()
                            ? ""
                            : fmt::format(" ORDER BY {}", dialect.row_order());
    if (!rule.window.empty()) order = " ORDER BY penstock_row";
    PN_TRY(auto shown, table.ask(fmt::format("SELECT {} {}{} LIMIT {}", value, from, order, most_examples)));
    result["partial_unexpected_list"] = Json::array();
    for (const auto& row : shown) result["partial_unexpected_list"].push_back(parsed(row.at(0)));
    PN_TRY(auto counts, table.ask(fmt::format("SELECT {} AS v, count(*) AS n {} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {}",
                                              value, from, most_examples)));
    result["partial_unexpected_counts"] = Json::array();
    for (const auto& row : counts)
        result["partial_unexpected_counts"].push_back({{"value", parsed(row.at(0))}, {"count", number(row.at(1))}});
    return {};
}

Status judge_rows(const Arguments& arguments, const flow::AskedTable& table, flow::Validation& validation) {
    const auto& dialect = arguments.dialect();
    PN_TRY(auto rule, row_rule(arguments, table.name));
    PN_TRY(auto rows, table.ask(fmt::format("SELECT count(*), {}, {} FROM {}",
                                            dialect.count_where(fmt::format("NOT ({})", rule.missing)),
                                            dialect.count_where(at_fault(rule)), source_of(rule, table, dialect))));
    int64_t all = number(rows.at(0).at(0)), judged = number(rows[0].at(1)), unexpected = number(rows[0].at(2));
    validation.element_count = all;
    validation.unexpected_count = unexpected;
    double good = judged == 0 ? 1 : static_cast<double>(judged - unexpected) / static_cast<double>(judged);
    validation.success = good >= arguments.expectation().mostly;
    Json result = figures(rule, all, judged, unexpected);
    result["partial_unexpected_list"] = Json::array();
    result["partial_unexpected_counts"] = Json::array();
    if (unexpected != 0) PN_CHECK(show_unexpected(rule, table, dialect, result));
    validation.unexpected_sample = result["partial_unexpected_list"].dump();
    validation.result = result.dump();
    return {};
}

Status judge_figure(const Arguments& arguments, const flow::AskedTable& table, const Reference& reference,
                    flow::Validation& validation) {
    auto family = known_expectation(arguments.expectation().type)->family;
    auto measured = family == Family::table ? measure_table(arguments, table) : measure(arguments, table);
    if (!measured) return fail(std::move(measured.error()));
    Json details = parsed(measured->details);
    PN_CHECK(compare(arguments, table, reference, *measured, validation, details));
    validation.success = measured->success;
    validation.observed = measured->observed;
    validation.element_count = std::max<int64_t>(measured->rows, 0);
    Json result = Json::object();
    if (!measured->observed.empty()) result["observed_value"] = parsed(measured->observed);
    if (measured->unexpected >= 0) result["unexpected_count"] = validation.unexpected_count = measured->unexpected;
    if (measured->lacking >= 0) result["missing_count"] = measured->lacking;
    if (!details.empty()) result["details"] = std::move(details);
    validation.result = result.dump();
    return {};
}

Status judge_query(const Arguments& arguments, const flow::AskedTable& table, flow::Validation& validation) {
    constexpr std::string_view placeholder = "{batch}";
    std::string query = arguments.text("unexpected_rows_query");
    if (query.find(placeholder) == query.npos)
        return fail(mistake(arguments.expectation().place, "query_of_nothing",
                            fmt::format("the query of {} does not say {{batch}}", arguments.expectation().title()),
                            "`{batch}` stands for the rows: SELECT … FROM {batch} WHERE …"));
    for (size_t at = 0; (at = query.find(placeholder, at)) != query.npos; at += table.name.size())
        query.replace(at, placeholder.size(), table.name);
    while (!query.empty() && (std::isspace(static_cast<unsigned char>(query.back())) || query.back() == ';'))
        query.pop_back();
    PN_TRY(auto rows, table.ask(fmt::format("SELECT count(*) FROM ({}\n) AS q", query)));
    int64_t unexpected = number(rows.at(0).at(0));
    validation.success = unexpected == 0;
    validation.unexpected_count = unexpected;
    validation.observed = std::to_string(unexpected);
    Json shown = Json::array();
    if (unexpected != 0) {
        PN_TRY(auto sample, table.ask(fmt::format("SELECT {} FROM ({}\n) AS q LIMIT {}",
                                                  arguments.dialect().json_of_row("q"), query, most_examples)));
        for (const auto& row : sample) shown.push_back(parsed(row.at(0)));
    }
    validation.unexpected_sample = shown.dump();
    validation.result = Json{{"observed_value", unexpected}, {"details", {{"unexpected_rows", shown}}}}.dump();
    return {};
}

std::string kwargs_json(const Expectation& expectation) {
    Json kwargs = json_of_node(expectation.kwargs);
    const auto* known = known_expectation(expectation.type);
    if (known->family == Family::rows && expectation.mostly != 1) kwargs["mostly"] = expectation.mostly;
    return kwargs.dump();
}

}  // namespace

Result<flow::Validation> evaluate(const Expectation& expectation, const flow::AskedTable& whole,
                                  const Reference& reference) {
    flow::Validation validation{.check = expectation.title(),
                                .expectation = expectation.type,
                                .column = expectation.columns(),
                                .rows = expectation.rows == CheckedRows::batch ? "batch" : "table",
                                .severity = std::string(config::to_string(expectation.severity)),
                                .on_fail = std::string(config::to_string(expectation.on_fail)),
                                .kwargs = kwargs_json(expectation),
                                .series = series_of(expectation, whole),
                                .evaluated_at = now()};
    const auto* dialect = dialect_named(whole.dialect);
    if (dialect == nullptr)
        return fail(Error{.kind = ErrorKind::internal, .code = "unknown_dialect", .message = whole.dialect});
    Arguments arguments(expectation, whole.schema, *dialect);
    PN_TRY(auto table, chosen_rows(arguments, whole));
    auto family = known_expectation(expectation.type)->family;
    Status judged;
    if (family == Family::rows) judged = judge_rows(arguments, table, validation);
    else if (family == Family::query) judged = judge_query(arguments, table, validation);
    else judged = judge_figure(arguments, table, reference, validation);
    if (judged) return validation;
    if (judged.error().kind != ErrorKind::data) return fail(std::move(judged.error()));
    validation.success = false;
    validation.observed = Json(judged.error().message).dump();
    validation.result = Json{{"exception", judged.error().message}}.dump();
    return validation;
}

Status try_out(const Expectation& expectation, const flow::AskedTable& none) {
    PN_TRY([[maybe_unused]] auto asked, evaluate(expectation, none, {}));
    Arguments arguments(expectation, none.schema, *dialect_named(none.dialect));
    PN_TRY([[maybe_unused]] auto chosen, chosen_rows(arguments, none));
    auto family = known_expectation(expectation.type)->family;
    if (family == Family::rows) {
        PN_TRY([[maybe_unused]] auto rule, row_rule(arguments, none.name));
    } else if (family == Family::measure) {
        PN_TRY([[maybe_unused]] auto figure, measure(arguments, none));
    }
    for (const auto& literal : arguments.literals()) PN_CHECK(none.ask("SELECT 1 WHERE " + literal + " IS NULL"));
    return {};
}

Result<std::string> rows_at_fault(const Expectation& expectation, const flow::AskedTable& table,
                                  const std::string& row) {
    const auto* dialect = dialect_named(table.dialect);
    Arguments arguments(expectation, table.schema, *dialect);
    PN_TRY(auto chosen, chosen_rows(arguments, table));
    PN_TRY(auto rule, row_rule(arguments, chosen.name));
    return fmt::format("SELECT {} FROM {} WHERE {}", rule.window.empty() ? row : "penstock_row",
                       source_of(rule, chosen, *dialect), at_fault(rule));
}

std::string in_words(const flow::Validation& validation) {
    const auto& observed = validation.observed;
    std::string found;
    if (validation.expectation == "unexpected_rows_expectation")
        found = fmt::format("{} rows are not as expected", validation.unexpected_count);
    else if (!observed.empty())
        found = fmt::format("found {}", observed.size() > 200 ? observed.substr(0, 200) + "…" : observed);
    else if (validation.element_count > 0) {
        double percent =
            100.0 * static_cast<double>(validation.unexpected_count) / static_cast<double>(validation.element_count);
        found = fmt::format("{} of {} rows ({:.3g}%) are not as expected", validation.unexpected_count,
                            validation.element_count, percent);
    } else found = "not as expected";
    auto sample =
        Json::parse(validation.unexpected_sample.empty() ? "[]" : validation.unexpected_sample, nullptr, false);
    if (sample.is_array() && !sample.empty()) {
        auto first = sample.front().dump();
        if (first.size() <= 100 && first != "null") found += fmt::format(", such as {}", first);
    }
    if (!validation.compared.empty()) found += fmt::format(", wanted {}", validation.compared);
    return fmt::format("{}: {}", validation.check, found);
}

}  // namespace penstock::check
