#include "check/row_condition.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace penstock::check {
namespace {

using config::Node;

constexpr const char* how_to_say_it =
    "as `col(\"age\") > 18`, `col(\"state\") == \"new\"` or `col(\"email\").notnull()` with condition_parser: "
    "great_expectations, or as the map that a condition of Great Expectations is in JSON";

/// Great Expectations' own way to write a condition, taken apart into the map that its newer versions write.
class Text {
  public:
    explicit Text(std::string_view text) : rest_(text) {}

    std::optional<Node> condition() {
        if (!take("col(\"")) return {};
        auto end = rest_.find('"');
        if (end == rest_.npos) return {};
        auto column = Node::map({{"name", {}, Node::scalar(std::string(rest_.substr(0, end)), true)}});
        rest_.remove_prefix(end + 1);
        if (!take(")")) return {};
        if (take(".notnull()") || take(".notNull()") || take(".NOTNULL()"))
            return ended() ? std::optional(nullity(std::move(column))) : std::nullopt;
        for (const char* sign : {">=", "<=", "==", "!=", ">", "<"}) {
            if (!take(sign)) continue;
            auto value = this->value();
            if (!value || !ended()) return {};
            return Node::map({{"type", {}, Node::scalar("comparison")},
                              {"column", {}, std::move(column)},
                              {"operator", {}, Node::scalar(sign, true)},
                              {"parameter", {}, std::move(*value)}});
        }
        return {};
    }

  private:
    static Node nullity(Node column) {
        return Node::map({{"type", {}, Node::scalar("nullity")},
                          {"column", {}, std::move(column)},
                          {"is_null", {}, Node::scalar("false")}});
    }
    void skip_blanks() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    }
    bool take(std::string_view sign) {
        skip_blanks();
        if (!rest_.starts_with(sign)) return false;
        rest_.remove_prefix(sign.size());
        return true;
    }
    bool ended() {
        skip_blanks();
        return rest_.empty();
    }
    std::optional<Node> quoted() {
        for (const char* sign : {"\"", "'"}) {
            if (!take(sign)) continue;
            auto end = rest_.find(*sign);
            if (end == rest_.npos) return {};
            auto text = Node::scalar(std::string(rest_.substr(0, end)), true);
            rest_.remove_prefix(end + 1);
            return text;
        }
        return {};
    }
    std::optional<Node> value() {
        if (take("date(")) {
            auto day = quoted();
            return take(")") ? day : std::nullopt;
        }
        if (auto text = quoted()) return text;
        auto length = std::min(rest_.find_first_not_of("0123456789+-.eE"), rest_.size());
        if (length == 0) return {};
        auto number = Node::scalar(std::string(rest_.substr(0, length)));
        rest_.remove_prefix(length);
        return number;
    }

    std::string_view rest_;
};

Error not_understood(const Expectation& expectation, const Node& condition, const std::string& why) {
    return mistake(condition.place.line == 0 ? expectation.place : condition.place, "row_condition_not_understood",
                   fmt::format("`row_condition` of {} {}", expectation.title(), why), how_to_say_it);
}

Result<Node> as_map(const Expectation& expectation, const Node& condition) {
    if (condition.is_map()) return condition;
    if (!condition.is_scalar()) return fail(not_understood(expectation, condition, "is no text and no map"));
    auto map = Text(condition.text).condition();
    if (!map) return fail(not_understood(expectation, condition, "is not understood: " + condition.shown()));
    map->place = condition.place;
    return std::move(*map);
}

std::string text_of(const Node& map, const char* name) {
    const auto* found = map.find(name);
    return found == nullptr ? "" : found->text;
}

/// `is_null`, in JSON's words or Python's.
std::optional<bool> truth_of(const Node& condition) {
    auto said = text_of(condition, "is_null");
    if (said == "true" || said == "True") return true;
    if (said == "false" || said == "False") return false;
    return {};
}

/// The map's shape alone, for there is no table yet.
Status check_shape(const Expectation& expectation, const Node& condition) {
    auto type = text_of(condition, "type");
    if (type == "and" || type == "or") {
        const auto* all = condition.find("conditions");
        if (all == nullptr || !all->is_sequence() || all->items.empty())
            return fail(not_understood(expectation, condition, fmt::format("has an `{}` of nothing", type)));
        for (const auto& one : all->items) PN_CHECK(check_shape(expectation, one));
        return {};
    }
    const auto* column = condition.find("column");
    bool named = column != nullptr && column->find("name") != nullptr;
    if (named && type == "nullity" && truth_of(condition)) return {};
    if (named && type == "comparison") {
        const auto* value = condition.find("parameter");
        auto sign = text_of(condition, "operator");
        bool of_set = sign == "IN" || sign == "NOT_IN";
        bool compares = sign == "==" || sign == "!=" || sign == "<" || sign == "<=" || sign == ">" || sign == ">=";
        if (value != nullptr && ((of_set && value->is_sequence()) || (compares && value->is_scalar()))) return {};
    }
    if (type == "pass_through")
        return fail(
            not_understood(expectation, condition, "is written for pandas or Spark, which no table is asked by"));
    return fail(not_understood(expectation, condition, "is no condition of Great Expectations"));
}

Result<std::string> sql_of(const Arguments& arguments, const Node& condition) {
    auto type = text_of(condition, "type");
    if (type == "and" || type == "or") {
        std::vector<std::string> parts;
        for (const auto& one : condition.find("conditions")->items) {
            PN_TRY(auto part, sql_of(arguments, one));
            parts.push_back(std::move(part));
        }
        return fmt::format("({})", fmt::join(parts, type == "and" ? " AND " : " OR "));
    }
    PN_TRY(const auto* field, arguments.column_named(*condition.find("column")->find("name")));
    auto column = arguments.dialect().name(field->name);
    if (type == "nullity") return fmt::format("{} IS {}NULL", column, *truth_of(condition) ? "" : "NOT ");
    auto sign = text_of(condition, "operator");
    const auto& parameter = *condition.find("parameter");
    if (sign != "IN" && sign != "NOT_IN") {
        PN_TRY(auto value, arguments.value(parameter, field->type));
        return fmt::format("{} {} {}", column, sign == "==" ? "=" : sign == "!=" ? "<>" : sign, value);
    }
    std::vector<std::string> values;
    for (const auto& one : parameter.items) {
        PN_TRY(auto value, arguments.value(one, field->type));
        values.push_back(std::move(value));
    }
    if (values.empty()) return std::string(sign == "IN" ? "false" : "true");
    return fmt::format("{} {} ({})", column, sign == "IN" ? "IN" : "NOT IN", fmt::join(values, ", "));
}

}  // namespace

Status check_row_condition(const Expectation& expectation) {
    const auto* condition = expectation.kwargs.find("row_condition");
    if (condition == nullptr || condition->is_null()) return {};
    const auto* parser = expectation.kwargs.find("condition_parser");
    bool own = parser == nullptr || parser->is_null() || parser->text.starts_with("great_expectations");
    if (!own) return fail(not_understood(expectation, *parser, fmt::format("is for the parser {}", parser->shown())));
    PN_TRY(auto map, as_map(expectation, *condition));
    return check_shape(expectation, map);
}

Result<flow::AskedTable> chosen_rows(const Arguments& arguments, const flow::AskedTable& table) {
    const auto* condition = arguments.find("row_condition");
    if (condition == nullptr) return table;
    PN_TRY(auto map, as_map(arguments.expectation(), *condition));
    PN_TRY(auto sql, sql_of(arguments, map));
    auto some = table;
    const auto& order = arguments.dialect().row_order();
    some.name = fmt::format("(SELECT {}* FROM {} WHERE {})", order.empty() ? "" : order + ", ", table.name, sql);
    return some;
}

}  // namespace penstock::check
