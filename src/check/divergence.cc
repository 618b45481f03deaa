#include "check/divergence.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

namespace penstock::check {
namespace {

using Json = nlohmann::ordered_json;
using config::Node;

constexpr double infinity = std::numeric_limits<double>::infinity();
/// A question has a column for each of them.
constexpr size_t most_parts = 1000;

/// "-Infinity" is what Python writes into JSON, ".inf" is YAML's.
std::optional<double> number_or_infinity(const Node& node) {
    if (!node.is_scalar() || node.text.empty()) return {};
    for (const char* sign : {"Infinity", ".inf", "inf", "+Infinity", "+.inf"})
        if (node.text == sign) return infinity;
    for (const char* sign : {"-Infinity", "-.inf", "-inf"})
        if (node.text == sign) return -infinity;
    char* end = nullptr;
    double value = std::strtod(node.text.c_str(), &end);
    return *end == 0 && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

/// What stands in an expectation about its distribution.
struct Partition {
    std::vector<Node> values;  ///< one or
    std::vector<double> bins;  ///< the other
    std::vector<double> weights;
    std::vector<double> tails;  ///< two, or none
    double tail_holdout = 0;
    double inner_holdout = 0;
};

double sum_of(const std::vector<double>& numbers) { return std::accumulate(numbers.begin(), numbers.end(), 0.0); }

/// Sum of p ln(p / q), both scaled to 1.
struct Entropy {
    std::vector<double> found, expected;

    double value() const {
        double all_found = sum_of(found), all_expected = sum_of(expected), sum = 0;
        for (size_t i = 0; i < found.size(); ++i) {
            double p = found[i] / all_found, q = expected[i] / all_expected;
            if (std::isnan(p) || std::isnan(q)) return std::numeric_limits<double>::quiet_NaN();
            if (p > 0 && q == 0) return infinity;
            if (p > 0) sum += p * std::log(p / q);
        }
        return sum;
    }
};

class Reading {
  public:
    explicit Reading(const Arguments& arguments)
        : arguments_(arguments), object_(*arguments.find("partition_object")) {}

    Result<Partition> partition() {
        Partition made;
        if (!object_.is_map() || object_.find("weights") == nullptr)
            return fail(wrong("`weights` and `values` or `bins`"));
        PN_TRY(made.weights, numbers("weights"));
        PN_TRY(made.tail_holdout, holdout("tail_weight_holdout"));
        PN_TRY(made.inner_holdout, holdout("internal_weight_holdout"));
        bool adds_up = std::abs(sum_of(made.weights) - 1) <= 1e-5;
        if (const auto* values = object_.find("values"); values != nullptr && adds_up) {
            made.values = values->items;
            if (made.values.size() != made.weights.size()) return fail(wrong("as many `values` as `weights`"));
            if (made.inner_holdout > 0) return fail(wrong("no `internal_weight_holdout` where there are `values`"));
        } else {
            PN_CHECK(read_bins(made));
        }
        if (made.weights.size() > most_parts) return fail(wrong(fmt::format("at most {} weights", most_parts)));
        return made;
    }

  private:
    Status read_bins(Partition& made) {
        if (object_.find("bins") == nullptr) return fail(wrong("`weights` that make 1, and `values` or `bins`"));
        PN_TRY(made.bins, numbers("bins"));
        if (object_.find("tail_weights") != nullptr) {
            PN_TRY(made.tails, numbers("tail_weights"));
        }
        bool rising = std::ranges::adjacent_find(made.bins, std::greater_equal<>()) == made.bins.end();
        if (made.bins.size() != made.weights.size() + 1 || !rising)
            return fail(wrong("rising `bins`, one more than `weights`"));
        if (!made.tails.empty() && made.tails.size() != 2) return fail(wrong("two `tail_weights`"));
        if (std::abs(sum_of(made.weights) + sum_of(made.tails) - 1) > 1e-5)
            return fail(wrong("`weights` and `tail_weights` that make 1"));
        bool open = made.bins.front() == -infinity, open_end = made.bins.back() == infinity;
        if (!made.tails.empty() && (made.tail_holdout != 0 || open || open_end))
            return fail(wrong("no `tail_weights` beside a tail_weight_holdout or an infinite bin"));
        if (made.tail_holdout > 0 && open && open_end)
            return fail(wrong("no `tail_weight_holdout` where both ends are infinite"));
        if (arguments_.text("bucketize_data") == "false") return fail(wrong("`values` where bucketize_data is false"));
        return {};
    }
    Result<std::vector<double>> numbers(const char* name) {
        std::vector<double> all;
        for (const auto& item : object_.find(name)->items) {
            auto number = number_or_infinity(item);
            if (!number) return fail(arguments_.wrong(item, fmt::format("a number in `{}`", name)));
            all.push_back(*number);
        }
        return all;
    }
    Result<double> holdout(const char* name) {
        if (!arguments_.has(name)) return 0.0;
        PN_TRY(double share, arguments_.number(name));
        if (share < 0 || share > 1) return fail(arguments_.wrong(*arguments_.find(name), "a share from 0 to 1"));
        return share;
    }
    Error wrong(std::string_view wanted) const {
        return arguments_.wrong(object_, fmt::format("a `partition_object` with {}", wanted));
    }

    const Arguments& arguments_;
    const Node& object_;
};

double cell(const flow::TextRows::value_type& row, size_t column) {
    return std::strtod(row.at(column).value_or("0").c_str(), nullptr);
}

/// The shares of values that were not expected are only summed up: with one expected weight for all of them, theirs is
/// sum(n ln n) / N - ln N - ln q.
Result<double> of_values(const Arguments& arguments, const flow::AskedTable& table, const data::Field& field,
                         const Partition& partition, Json& found) {
    const auto& dialect = arguments.dialect();
    std::string cases;
    for (size_t i = 0; i < partition.values.size(); ++i) {
        PN_TRY(auto value, arguments.value(partition.values[i], field.type));
        cases += fmt::format(" WHEN v = {} THEN {}", value, i);
    }
    auto n = dialect.real("n");
    auto sql = fmt::format(
        "SELECT CASE{} ELSE -1 END AS k, count(*), sum(n), {} FROM (SELECT {} AS v, count(*) AS n FROM {} WHERE {} IS "
        "NOT "
        "NULL GROUP BY 1) AS g GROUP BY 1",
        cases, dialect.text(fmt::format("sum({0} * ln({0}))", n)), dialect.name(field.name), table.name,
        dialect.name(field.name));
    PN_TRY(auto rows, table.ask(dialect.all_as_text(sql)));
    std::vector<double> counts(partition.values.size());
    double others = 0, distinct = 0, logs = 0;
    for (const auto& row : rows) {
        auto at = static_cast<int64_t>(cell(row, 0));
        if (row.at(0) && at >= 0) counts.at(static_cast<size_t>(at)) = cell(row, 2);
        else if (row.at(0)) distinct = cell(row, 1), others = cell(row, 2), logs = cell(row, 3);
    }
    double all = sum_of(counts) + others;
    for (double count : counts) found.push_back(count / all);
    auto weights = partition.weights;
    if (distinct == 0) return Entropy{counts, weights}.value();
    double q = partition.tail_holdout / distinct, scale = 0;
    for (auto& weight : weights) weight *= 1 - partition.tail_holdout;
    scale = sum_of(weights) + partition.tail_holdout;
    if (q == 0) return infinity;
    double sum = (logs - others * std::log(all) - others * std::log(q / scale)) / all;
    for (size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] == 0) continue;
        if (weights[i] == 0) return infinity;
        sum += counts[i] / all * std::log(counts[i] / all / (weights[i] / scale));
    }
    return sum;
}

Result<double> of_bins(const Arguments& arguments, const flow::AskedTable& table, const data::Field& field,
                       const Partition& partition, Json& found) {
    if (!is_number(field.type)) return fail(arguments.wrong(*arguments.find("column"), "a column of numbers"));
    const auto& dialect = arguments.dialect();
    const auto& bins = partition.bins;
    auto column = dialect.name(field.name);
    auto count = [&](double from, double to, const char* below) {
        std::string condition = column + " IS NOT NULL";
        if (from != -infinity) condition += fmt::format(" AND {} >= {}", column, from);
        if (to != infinity) condition += fmt::format(" AND {} {} {}", column, below, to);
        return dialect.count_where(condition);
    };
    // The last range has its upper bound in it, as numpy's histogram.
    std::string questions =
        fmt::format("count({0}), {1}, {2}", column,
                    dialect.count_where(fmt::format("{} < {}", column, std::max(bins.front(), -1e308))),
                    dialect.count_where(fmt::format("{} > {}", column, std::min(bins.back(), 1e308))));
    for (size_t i = 0; i + 1 < bins.size(); ++i)
        questions += ", " + count(bins[i], bins[i + 1], i + 2 == bins.size() ? "<=" : "<");
    PN_TRY(auto rows, table.ask(fmt::format("SELECT {} FROM {}", questions, table.name)));
    const auto& row = rows.at(0);
    double all = cell(row, 0);
    Entropy entropy;
    for (size_t i = 0; i < partition.weights.size(); ++i) {
        entropy.found.push_back((row.size() > i + 3 ? cell(row, i + 3) : 0) / all);
        entropy.expected.push_back(partition.weights[i] * (1 - partition.tail_holdout - partition.inner_holdout));
    }
    auto empty = static_cast<double>(std::ranges::count(entropy.expected, 0.0));
    if (partition.inner_holdout > 0)
        for (auto& weight : entropy.expected)
            if (weight == 0) weight = partition.inner_holdout / empty;
    for (double share : entropy.found) found.push_back(share);
    bool open = bins.front() == -infinity, open_end = bins.back() == infinity;
    double tail = open || open_end ? partition.tail_holdout : partition.tail_holdout / 2;
    auto tail_of = [&](size_t side) { return partition.tails.empty() ? tail : partition.tails[side]; };
    if (!open) {
        entropy.found.insert(entropy.found.begin(), cell(row, 1) / all);
        entropy.expected.insert(entropy.expected.begin(), tail_of(0));
    }
    if (!open_end) {
        entropy.found.push_back(cell(row, 2) / all);
        entropy.expected.push_back(tail_of(1));
    }
    return entropy.value();
}

}  // namespace

Result<Measured> divergence(const Arguments& arguments, const flow::AskedTable& table) {
    PN_TRY(const auto* field, arguments.column("column"));
    PN_TRY(double threshold, arguments.number("threshold"));
    if (threshold < 0) return fail(arguments.wrong(*arguments.find("threshold"), "a number from 0 on"));
    PN_TRY(auto partition, Reading(arguments).partition());
    Json found = Json::array();
    auto value = partition.bins.empty() ? of_values(arguments, table, *field, partition, found)
                                        : of_bins(arguments, table, *field, partition, found);
    if (!value) return fail(std::move(value.error()));
    bool finite = std::isfinite(*value);
    // To sums of logarithms of the same distribution a last digit below zero may be left.
    Measured measured{.success = finite && *value <= threshold,
                      .observed = finite ? Json(std::max(*value, 0.0)).dump() : "null"};
    measured.details = Json{{"observed_weights", found}, {"expected_weights", partition.weights}}.dump();
    return measured;
}

}  // namespace penstock::check
