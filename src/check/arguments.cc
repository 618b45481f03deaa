#include "check/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "config/suggest.h"

namespace penstock::check {
namespace {

using config::Node;

std::optional<double> as_number(const Node& node) {
    if (!node.is_scalar() || node.quoted || node.text.empty()) return {};
    char* end = nullptr;
    double value = std::strtod(node.text.c_str(), &end);
    bool digits = node.text.find_first_not_of("0123456789+-.eE") == node.text.npos;
    return *end == 0 && digits && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

const Node* Arguments::find(const char* name) const {
    const auto* found = expectation_.kwargs.find(name);
    return found == nullptr || found->is_null() ? nullptr : found;
}

Error Arguments::wrong(const Node& node, std::string_view wanted) const {
    return mistake(node.place.line == 0 ? expectation_.place : node.place, "wrong_type",
                   fmt::format("{}: expected {}, found {}", expectation_.title(), wanted,
                               node.is_scalar() ? node.shown() : std::string(config::describe(node.kind))),
                   fmt::format("an argument of {}", expectation_.type));
}

std::string Arguments::text(const char* name) const {
    const auto* found = find(name);
    return found == nullptr ? "" : found->text;
}

bool Arguments::flag(const char* name) const {
    auto said = text(name);
    return said == "true" || said == "True";
}

Result<double> Arguments::number(const char* name) const {
    const auto* found = find(name);
    auto value = found == nullptr ? std::nullopt : as_number(*found);
    if (!value)
        return fail(wrong(found == nullptr ? expectation_.kwargs : *found, fmt::format("a number as `{}`", name)));
    return *value;
}

Result<int64_t> Arguments::integer(const char* name) const {
    PN_TRY(double value, number(name));
    if (value != std::floor(value) || std::abs(value) > 9e15) return fail(wrong(*find(name), "a whole number"));
    return static_cast<int64_t>(value);
}

Result<std::vector<Node>> Arguments::list(const char* name) const {
    const auto* found = find(name);
    if (found != nullptr && found->is_sequence() && !found->items.empty()) return found->items;
    return fail(wrong(found == nullptr ? expectation_.kwargs : *found,
                      fmt::format("a list with something in it as `{}`", name)));
}

Result<std::vector<std::string>> Arguments::texts(const char* name) const {
    PN_TRY(auto nodes, list(name));
    std::vector<std::string> all;
    for (const auto& node : nodes) {
        if (!node.is_scalar()) return fail(wrong(node, "text"));
        all.push_back(node.text);
    }
    return all;
}

Result<const data::Field*> Arguments::column_named(const Node& node) const {
    if (!node.is_scalar()) return fail(wrong(node, "the name of a column"));
    int at = schema_.find(node.text);
    if (at >= 0) return &schema_.fields[static_cast<size_t>(at)];
    std::vector<std::string> names;
    for (const auto& field : schema_.fields) names.push_back(field.name);
    return fail(mistake(node.place.line == 0 ? expectation_.place : node.place, "check_column_missing",
                        fmt::format("the table has no column '{}', which a check names{}", node.text,
                                    config::did_you_mean(node.text, names)),
                        fmt::format("its columns: {}", fmt::join(names, ", "))));
}

Result<const data::Field*> Arguments::column(const char* name) const { return column_named(*find(name)); }

Result<std::vector<const data::Field*>> Arguments::columns(const char* name) const {
    PN_TRY(auto nodes, list(name));
    std::vector<const data::Field*> all;
    for (const auto& node : nodes) {
        PN_TRY(const auto* field, column_named(node));
        all.push_back(field);
    }
    if (all.size() < 2) return fail(wrong(nodes.front(), "at least two columns"));
    return all;
}

Result<std::string> Arguments::quoted(const char* name) const {
    PN_TRY(const auto* field, column(name));
    return dialect_.name(field->name);
}

Result<std::string> Arguments::value(const Node& node, const data::Type& type) const {
    if (!node.is_scalar()) return fail(wrong(node, "a value"));
    if (is_number(type)) {
        if (!as_number(node)) return fail(wrong(node, "a number"));
        return node.text;
    }
    literals_.push_back(dialect_.typed(node.text, type));
    return literals_.back();
}

Result<std::string> Arguments::values(const char* name, const data::Type& type) const {
    PN_TRY(auto nodes, list(name));
    std::string all;
    for (const auto& node : nodes) {
        if (node.is_null()) continue;
        PN_TRY(auto one, value(node, type));
        all += (all.empty() ? "" : ", ") + one;
    }
    return all.empty() ? "NULL" : all;
}

}  // namespace penstock::check
