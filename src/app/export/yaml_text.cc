#include "app/export/yaml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t widest_flow = 100;

/// Narrower than the standards allow, on purpose.
bool is_plain(std::string_view text) {
    static const std::set<std::string, std::less<>> words = {"y",   "n",    "yes",   "no",  "on",
                                                             "off", "true", "false", "null"};
    if (text.empty() || !std::isalpha(static_cast<unsigned char>(text.front()))) return false;
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return !words.contains(lower) && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) || std::string_view("_-./").find(static_cast<char>(c)) != std::string_view::npos;
    });
}

std::string yaml_scalar(const Json& value) {
    if (!value.is_string()) return value.dump();
    const auto& text = value.get_ref<const std::string&>();
    return is_plain(text) ? text : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string yaml_flow(const Json& value) {
    std::string out;
    if (value.is_array()) {
        for (const auto& item : value) out += fmt::format("{}{}", out.empty() ? "" : ", ", yaml_flow(item));
        return fmt::format("[{}]", out);
    }
    if (!value.is_object()) return yaml_scalar(value);
    for (const auto& [key, item] : value.items())
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", yaml_scalar(key), yaml_flow(item));
    return fmt::format("{{{}}}", out);
}

/// Lines that a literal block gives back as they are.
bool is_literal(const Json& value) {
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    return text.find('\n') != text.npos && std::ranges::all_of(text, [](unsigned char c) {
               return c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f);
           });
}

bool holds_literal(const Json& value) {
    if (is_literal(value)) return true;
    return value.is_structured() && std::ranges::any_of(value, holds_literal);
}

std::string literal_block(const std::string& text, const std::string& indent) {
    auto ends = text.size() - (text.find_last_not_of('\n') + 1);
    std::string out = fmt::format("|2{}\n", ends == 0 ? "-" : ends == 1 ? "" : "+");
    size_t at = 0;
    while (at < text.size()) {
        auto end = std::min(text.find('\n', at), text.size());
        if (end > at) out += indent + "  " + text.substr(at, end - at);
        out += '\n';
        at = end + 1;
    }
    return out;
}

void yaml_block(const Json& value, const std::string& indent, std::string& out);

/// What stands behind `key:` or `-`, with the line's end.
std::string yaml_behind(const Json& value, const std::string& indent) {
    if (is_literal(value)) return " " + literal_block(value.get_ref<const std::string&>(), indent);
    auto flow = yaml_flow(value);
    bool fits = indent.size() + flow.size() < widest_flow && !holds_literal(value);
    bool small = !value.is_structured() || value.empty() ||
                 std::ranges::none_of(value, [](const Json& item) { return item.is_object() && item.size() > 1; });
    if (!value.is_structured() || value.empty() || (fits && small && !indent.empty())) return " " + flow + "\n";
    std::string block = "\n";
    yaml_block(value, indent + "  ", block);
    return block;
}

void yaml_block(const Json& value, const std::string& indent, std::string& out) {
    if (value.is_array()) {
        for (const auto& item : value) {
            auto flow = yaml_flow(item);
            bool one_line = !item.is_structured() || item.empty() ||
                            (indent.size() + flow.size() < widest_flow && !holds_literal(item) && item.size() < 4);
            if (one_line) {
                out += fmt::format("{}- {}\n", indent, flow);
                continue;
            }
            std::string block;
            yaml_block(item, indent + "  ", block);
            block.replace(indent.size(), 1, "-");
            out += block;
        }
        return;
    }
    for (const auto& [key, item] : value.items())
        out += fmt::format("{}{}:{}", indent, yaml_scalar(key), yaml_behind(item, indent));
}

}  // namespace

std::string yaml_text(const Json& value) {
    std::string out;
    yaml_block(value, "", out);
    return out;
}

}  // namespace penstock::app
