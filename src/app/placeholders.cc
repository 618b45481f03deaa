#include "app/placeholders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/suggest.h"

namespace penstock::app {
namespace {

/// Values stand in names and in SQL, so that only what is harmless in both is put there.
bool harmless(const std::string& value) {
    auto good = [](unsigned char c) {
        return std::isalnum(c) || c >= 0x80 ||
               std::string_view("_.:@/+-").find(static_cast<char>(c)) != std::string_view::npos;
    };
    return !value.empty() && std::ranges::all_of(value, good) && value.find("--") == value.npos &&
           value.find("..") == value.npos;
}

Error at(const config::Node& node, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = node.place.text(),
            .hint = std::move(hint)};
}

}  // namespace

Result<Parameters> read_parameters(const std::vector<std::string>& given) {
    Parameters parameters;
    for (const auto& one : given) {
        auto equals = one.find('=');
        if (equals == one.npos || equals == 0)
            return fail({.kind = ErrorKind::usage,
                         .code = "bad_parameter",
                         .message = "--param takes NAME=VALUE",
                         .hint = "such as --param day=2026-11-21; in the configuration it is {param.day}"});
        parameters[one.substr(0, equals)].push_back(one.substr(equals + 1));
    }
    return parameters;
}

Filling::Values single_values(const Parameters& parameters) {
    Filling::Values values;
    for (const auto& [name, all] : parameters)
        if (all.size() == 1) values[name] = all.front();
    return values;
}

namespace {

bool wants(const char* word, const config::Document& document, const config::PipelineConfig& pipeline) {
    Filling::Values none;
    Filling filling(word, "", "", none);
    const auto* source = document.connection(pipeline.source_connection);
    const auto* target = document.connection(pipeline.target_connection);
    if (pipeline.work() != nullptr) return filling.wanted_in(*pipeline.work());
    return filling.wanted_in(pipeline.source) || filling.wanted_in(pipeline.target) ||
           (source != nullptr && filling.wanted_in(source->options)) ||
           (target != nullptr && filling.wanted_in(target->options));
}

}  // namespace

bool wants_parameters(const config::Document& document, const config::PipelineConfig& pipeline) {
    return wants(parameter_word, document, pipeline) || wants_window(document, pipeline);
}

bool wants_window(const config::Document& document, const config::PipelineConfig& pipeline) {
    return wants(window_word, document, pipeline);
}

bool Filling::wanted_in(const config::Node& node) const {
    return node.text.find(mark_) != node.text.npos ||
           std::ranges::any_of(node.items, [&](const auto& item) { return wanted_in(item); }) ||
           std::ranges::any_of(node.entries, [&](const auto& entry) { return wanted_in(entry.value); });
}

Status Filling::fill(config::Node& node) const {
    for (auto& item : node.items) PN_CHECK(fill(item));
    for (auto& entry : node.entries) PN_CHECK(fill(entry.value));
    for (size_t begin = node.text.find(mark_); begin != node.text.npos; begin = node.text.find(mark_, begin)) {
        size_t end = node.text.find('}', begin);
        if (end == node.text.npos)
            return fail(at(node, "bad_placeholder", "a { without its }", "write {client.column}"));
        PN_TRY(auto value, value_of(node, node.text.substr(begin + mark_.size(), end - begin - mark_.size())));
        if (begin == 0 && end + 1 == node.text.size()) node.quoted = false;  // a number is one
        node.text.replace(begin, end + 1 - begin, value);
        node.reference.clear();
        begin += value.size();
    }
    return {};
}

Result<std::string> Filling::value_of(const config::Node& node, const std::string& column) const {
    auto found = values_.find(column);
    if (found == values_.end() && values_.empty() && mark_ == std::string("{") + window_word + ".")
        return fail(at(node, "no_window", "this run has no window",
                       "the scheduler gives it one; by hand: --window 2026-11-01/2026-11-02"));
    if (found == values_.end()) {
        std::vector<std::string> columns;
        for (const auto& [name, value] : values_) columns.push_back(name);
        return fail(at(node, "unknown_column",
                       fmt::format("{} has no {} '{}'{}", from_, noun_, column, config::did_you_mean(column, columns)),
                       columns.empty() ? "it has none" : fmt::format("it has {}", fmt::join(columns, ", "))));
    }
    if (found->second && harmless(*found->second)) return *found->second;
    return fail({.kind = ErrorKind::refused,
                 .code = "unusable_value",
                 .message = fmt::format("{} {} of {} is {}", noun_, column, from_,
                                        found->second ? "no value that can stand in a name or in SQL" : "NULL"),
                 .where = node.place.text(),
                 .hint = "letters, digits and _ . : @ / + - can; mend it"});
}

}  // namespace penstock::app
