#include "config/spec_base.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/suggest.h"

namespace penstock::config {
namespace {

Error about_key(const Node& map, const Place& where, std::string code, std::string message, std::string hint = {}) {
    Error error = problem(map, std::move(code), message, std::move(hint));
    error.where = where.text();
    return error;
}

/// "a, b and c"
std::string enumerate(const std::vector<std::string>& names) {
    std::string out;
    for (size_t i = 0; i < names.size(); ++i)
        out += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == names.size() ? " and " : ", ", names[i]);
    return out;
}

std::string choose_from(const std::vector<std::string>& names) { return fmt::format("'{}'", fmt::join(names, "', '")); }

/// The sentence about a broken rule, or "" when it holds; `given` are its names that stand in the map.
std::string broken(const KeyRule& rule, const std::vector<std::string>& given, const Node& node) {
    switch (rule.rule) {
        case Rule::exactly_one:
            if (given.empty()) return fmt::format("give one of {}", choose_from(rule.names));
            if (given.size() > 1)
                return fmt::format("{} exclude each other; give one of {}", enumerate(given), choose_from(rule.names));
            return {};
        case Rule::at_most_one:
            if (given.size() > 1)
                return fmt::format("{} exclude each other; give at most one of {}", enumerate(given),
                                   choose_from(rule.names));
            return {};
        case Rule::at_least_one:
            if (given.empty()) return fmt::format("give at least one of {}", choose_from(rule.names));
            return {};
        case Rule::requires_other:
            if (node.find(rule.names[0]) && !node.find(rule.names[1]))
                return fmt::format("'{}' needs '{}' too", rule.names[0], rule.names[1]);
            return {};
    }
    std::unreachable();
}

}  // namespace

const Option* SpecBase::find(std::string_view option) const {
    auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& one) { return one.name == option; });
    return found == options_.end() ? nullptr : &*found;
}

bool SpecBase::check_keys(const Node& node, Diagnostics& diagnostics) const {
    // A key whose options are all commented out is nothing in YAML, and means an empty map to its author.
    if (!node.is_map() && !node.is_null()) {
        diagnostics.add(problem(node, "wrong_type", fmt::format("expected a map, found {}", describe(node.kind))));
        return false;
    }
    size_t before = diagnostics.size();
    std::vector<std::string> names;
    for (const auto& option : options_) names.push_back(option.name);
    for (const auto& entry : node.entries) {
        if (find(entry.key)) continue;
        auto later = std::find_if(unavailable_.begin(), unavailable_.end(),
                                  [&](const Unavailable& one) { return one.name == entry.key; });
        if (later != unavailable_.end()) {
            diagnostics.add(about_key(node, entry.place, "not_available",
                                      fmt::format("'{}' is not available in this version", entry.key), later->doc));
            continue;
        }
        std::string suggestion = did_you_mean(entry.key, names);
        diagnostics.add(about_key(node, entry.place, "unknown_key",
                                  fmt::format("unknown key '{}'{}", entry.key, suggestion),
                                  suggestion.empty() ? fmt::format("known keys: {}", fmt::join(names, ", ")) : ""));
    }
    for (const auto& option : options_)
        if (option.required && !node.find(option.name))
            diagnostics.add(
                problem(node, "missing_key", fmt::format("the key '{}' is missing", option.name), option.doc));
    for (const auto& rule : rules_) {
        std::vector<std::string> given;
        const Node::Entry* last = nullptr;
        for (const auto& entry : node.entries)
            if (std::find(rule.names.begin(), rule.names.end(), entry.key) != rule.names.end())
                given.push_back(entry.key), last = &entry;
        std::string sentence = broken(rule, given, node);
        if (!sentence.empty())
            diagnostics.add(about_key(node, last ? last->place : node.place, "key_rule", std::move(sentence)));
    }
    return diagnostics.size() == before;
}

}  // namespace penstock::config
