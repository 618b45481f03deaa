#include "check/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace penstock::check {
namespace {

using Json = nlohmann::ordered_json;
using config::Node;

constexpr int64_t most_runs = 100;

/// How far a number may be from another.
struct Distance {
    double amount = 0;
    bool share = false;
    std::string text;

    double from(double value) const { return share ? std::abs(value) * amount : amount; }
};

/// "50%", "1000"
std::optional<Distance> distance_of(const Node& node) {
    if (!node.is_scalar() || node.text.empty()) return {};
    auto digits = node.text;
    bool share = digits.ends_with('%');
    if (share) digits.pop_back();
    while (digits.ends_with(' ')) digits.pop_back();
    char* end = nullptr;
    double amount = std::strtod(digits.c_str(), &end);
    bool plain = !digits.empty() && digits.find_first_not_of("0123456789.") == digits.npos;
    if (!plain || *end != 0 || !std::isfinite(amount)) return {};
    return Distance{.amount = share ? amount / 100 : amount, .share = share, .text = node.text};
}

const Node* argument_of(const Expectation& expectation, const char* name) {
    const auto* found = expectation.kwargs.find(name);
    return found == nullptr || found->is_null() ? nullptr : found;
}

Error wrong(const Expectation& expectation, const Node& node, const std::string& what, std::string hint) {
    return mistake(node.place.line == 0 ? expectation.place : node.place, "wrong_comparison",
                   fmt::format("{}: {}", expectation.title(), what), std::move(hint));
}

Status check_other(const Expectation& expectation, const Node& other) {
    if (!other.is_map())
        return fail(wrong(expectation, other, "`same_as` is no map", "same_as: {table: public.events}"));
    for (const auto& entry : other.entries)
        if (entry.key != "connection" && entry.key != "table" && entry.key != "where" && entry.key != "query")
            return fail(wrong(expectation, entry.value, fmt::format("`same_as` has no '{}'", entry.key),
                              "it has connection, table, where and query"));
    if ((other.find("table") == nullptr) == (other.find("query") == nullptr))
        return fail(wrong(expectation, other, "`same_as` needs a `table` or a `query`", "give one of them"));
    return {};
}

double median(std::vector<double> numbers) {
    std::ranges::sort(numbers);
    size_t half = numbers.size() / 2;
    return numbers.size() % 2 == 1 ? numbers[half] : (numbers[half - 1] + numbers[half]) / 2;
}

/// And exact as a double.
bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 9007199254740992.0; }

/// One comparison on its way into the words and the figures of a validation.
class Comparison {
  public:
    Comparison(Measured& measured, double found, flow::Validation& validation, Json& details)
        : measured_(measured), found_(found), validation_(validation), details_(details) {}

    void hold(const std::string& what, double value, const Distance& within) {
        double least = value - within.from(value), most = value + within.from(value);
        // Of what is a whole number on both sides nothing is lost; of others the last digits are the engines'.
        bool whole = is_whole(value) && is_whole(found_);
        double slack = whole ? 0 : 1e-9 * std::max(std::abs(value), std::abs(found_));
        if (found_ < least - slack || found_ > most + slack) measured_.success = false;
        std::string range = least == most ? fmt::format("{}", value) : fmt::format("{} to {}", least, most);
        say(fmt::format("{}: {}{}", range, least == most ? "" : fmt::format("within {} of {}, ", within.text, value),
                        what));
        note({{"with", what}, {"value", value}, {"within", within.text}, {"least", least}, {"most", most}});
    }
    void skip(const std::string& why) {
        say("nothing: " + why);
        note({{"not_compared", why}});
    }

  private:
    void say(const std::string& words) { validation_.compared += (validation_.compared.empty() ? "" : "; ") + words; }
    void note(Json entry) { details_["compared_with"].push_back(std::move(entry)); }

    Measured& measured_;
    double found_;
    flow::Validation& validation_;
    Json& details_;
};

/// What is in the target itself is asked along with its table, as the commit will leave both.
Result<double> value_of(const Arguments& arguments, const Node& other, const flow::AskedTable& table,
                        const Reference& reference) {
    const auto* connection = other.find("connection");
    bool own = connection == nullptr || connection->is_null() || connection->text == reference.own_connection;
    if (!own || arguments.expectation().rows != CheckedRows::table) return reference.elsewhere(other, reference.stop);
    const auto& dialect = arguments.dialect();
    auto query = other_query(other, [&](std::string_view name) { return dialect.name(name); });
    PN_TRY(auto rows, table.ask(dialect.all_as_text(query)));
    if (rows.size() == 1 && rows[0].size() == 1 && rows[0][0]) {
        char* end = nullptr;
        double value = std::strtod(rows[0][0]->c_str(), &end);
        if (end != rows[0][0]->c_str() && *end == 0) return value;
    }
    return fail(Error{.kind = ErrorKind::data,
                      .code = "not_one_number",
                      .message = fmt::format("{} is not one number", other_in_words(other)),
                      .where = arguments.expectation().place.text(),
                      .hint = "the query must give one row with one number"});
}

Status compare_runs(const Arguments& arguments, const Reference& reference, const Distance& within,
                    const flow::Validation& validation, Comparison& comparison) {
    PN_TRY(int64_t last, arguments.integer("last"));
    if (!reference.past || validation.series.empty()) {
        comparison.skip("these rows are not those of one run");
        return {};
    }
    PN_TRY(auto numbers, reference.past(reference.table, validation.series, static_cast<size_t>(last)));
    auto known = static_cast<int64_t>(numbers.size());
    if (known < last) comparison.skip(fmt::format("{} of {} runs to compare with are there", known, last));
    else {
        double middle = median(std::move(numbers));
        auto what = fmt::format("the median of the last {} runs", last);
        if (within.share && middle == 0 && within.amount > 0) comparison.skip(what + " is 0, which has no shares");
        else comparison.hold(what, middle, within);
    }
    return {};
}

/// As Great Expectations tells it.
Status compare_counts(const Arguments& arguments, const flow::AskedTable& table, const Reference& reference,
                      Measured& measured, flow::Validation& validation) {
    if (!reference.elsewhere) return {};
    Node other = Node::map({{"table", {}, *arguments.find("other_table_name")}});
    PN_TRY(double value, value_of(arguments, other, table, reference));
    measured.success = static_cast<double>(measured.rows) == value;
    measured.observed = Json{{"self", measured.rows}, {"other", static_cast<int64_t>(value)}}.dump();
    validation.compared = fmt::format("{}: {}", value, other_in_words(other));
    return {};
}

/// Of the table of `same_as`.
std::string table_and_where(const Node& same_as, const std::function<std::string(std::string_view)>& name) {
    std::string quoted;
    std::string_view rest = same_as.find("table")->text;
    for (size_t dot = rest.find('.'); dot != rest.npos; dot = rest.find('.')) {
        quoted += name(rest.substr(0, dot)) + ".";
        rest.remove_prefix(dot + 1);
    }
    quoted += name(rest);
    const auto* where = same_as.find("where");
    std::string condition = where == nullptr || where->text.empty() ? "" : fmt::format(" WHERE ({}\n)", where->text);
    return quoted + condition;
}

}  // namespace

bool compares_tables(const Expectation& expectation) {
    return argument_of(expectation, "same_as") != nullptr || argument_of(expectation, "other_table_name") != nullptr;
}

bool finds_a_number(const KnownExpectation& known) { return known.optional.find("last") != known.optional.npos; }

Status check_comparison(const Expectation& expectation) {
    const auto *last = argument_of(expectation, "last"), *other = argument_of(expectation, "same_as"),
               *within = argument_of(expectation, "within");
    if (within != nullptr && last == nullptr && other == nullptr)
        return fail(wrong(expectation, *within, "`within` is for `last` and `same_as`", "leave it out"));
    if (last != nullptr) {
        char* end = nullptr;
        long runs = std::strtol(last->text.c_str(), &end, 10);
        if (!last->is_scalar() || last->text.empty() || *end != 0 || runs < 1 || runs > most_runs)
            return fail(wrong(expectation, *last, fmt::format("`last` is a number of runs from 1 to {}", most_runs),
                              "such as 7"));
        if (within == nullptr) return fail(wrong(expectation, *last, "`last` needs `within`", "such as within: 50%"));
    }
    if (within != nullptr) {
        auto distance = distance_of(*within);
        bool of_rows = expectation.type.starts_with("expect_table_row_count");
        bool fraction = distance && !distance->share && distance->amount != std::floor(distance->amount);
        if (!distance || (of_rows && fraction))
            return fail(wrong(expectation, *within,
                              fmt::format("`within` is a share such as 50%, or a number, and not {}", within->shown()),
                              "write a share with its sign: 50%"));
    }
    return other == nullptr ? Status() : check_other(expectation, *other);
}

std::string series_of(const Expectation& expectation, const flow::AskedTable& table) {
    if (table.reads == "narrowed" || !finds_a_number(*known_expectation(expectation.type))) return "";
    auto series = fmt::format("{}({}) of {}", expectation.type, expectation.columns(),
                              expectation.rows == CheckedRows::table ? "table" : table.reads);
    if (const auto* condition = argument_of(expectation, "row_condition"))
        series += " where " + config::dump_inline(*condition);
    return series;
}

Status compare(const Arguments& arguments, const flow::AskedTable& table, const Reference& reference,
               Measured& measured, flow::Validation& validation, Json& details) {
    if (arguments.has("other_table_name")) return compare_counts(arguments, table, reference, measured, validation);
    bool runs = arguments.has("last"), other = arguments.has("same_as");
    if (!runs && !other) return {};
    const auto& type = arguments.expectation().type;
    if (type == "expect_column_min_to_be_between" || type == "expect_column_max_to_be_between") {
        PN_TRY(const auto* field, arguments.column("column"));
        if (!is_number(field->type)) return fail(arguments.wrong(*arguments.find("column"), "a column of numbers"));
    }
    auto found = number_found(measured.observed);
    if (!found) {  // of no rows, or beyond numbers (NaN): what cannot be compared is not as it should be
        measured.success = false;
        details["compared_with"].push_back({{"not_compared", "what was found is no number"}});
        return {};
    }
    Distance within{.text = "0"};
    if (const auto* said = arguments.find("within")) within = distance_of(*said).value_or(within);
    Comparison comparison(measured, *found, validation, details);
    if (runs) PN_CHECK(compare_runs(arguments, reference, within, validation, comparison));
    if (!other || !reference.elsewhere) return {};
    const auto& named = *arguments.find("same_as");
    PN_TRY(double value, value_of(arguments, named, table, reference));
    comparison.hold(other_in_words(named), value, within);
    return {};
}

std::optional<double> number_found(const std::string& observed) {
    auto found = Json::parse(observed, nullptr, false);
    if (found.is_number()) return found.get<double>();
    if (!found.is_string()) return {};
    const auto& text = found.get_ref<const std::string&>();
    char* end = nullptr;
    double value = std::strtod(text.c_str(), &end);
    bool plain = !text.empty() && text.find_first_not_of("0123456789.+-eE") == text.npos;
    if (!plain || *end != 0 || !std::isfinite(value)) return {};
    return value;
}

std::string other_query(const Node& same_as, const std::function<std::string(std::string_view)>& name) {
    if (const auto* query = same_as.find("query")) {
        auto text = query->text;
        while (!text.empty() && (std::isspace(static_cast<unsigned char>(text.back())) || text.back() == ';'))
            text.pop_back();
        return text;
    }
    return "SELECT count(*) AS n FROM " + table_and_where(same_as, name);
}

std::string any_row_query(const Node& same_as, const std::function<std::string(std::string_view)>& name) {
    return fmt::format("SELECT count(*) AS n FROM (SELECT 1 AS one FROM {} LIMIT 1) AS any_row",
                       table_and_where(same_as, name));
}

std::string other_in_words(const Node& same_as) {
    const auto *table = same_as.find("table"), *where = same_as.find("where");
    std::string words = table == nullptr ? "a query" : "the rows of " + table->text;
    if (where != nullptr && !where->text.empty()) words += " where " + where->text;
    if (const auto* connection = same_as.find("connection"); connection != nullptr && !connection->text.empty())
        words += fmt::format(" in connection {}", connection->text);
    return words;
}

}  // namespace penstock::check
