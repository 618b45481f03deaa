#include "app/operate/exposition.h"

#include <fmt/format.h>

namespace penstock::app {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') out += "\\n";
        else out += c;
    }
    return out;
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void Exposition::sample(const Labels& labels, double value, std::string_view suffix) {
    text_ += name_;
    text_ += suffix;
    for (size_t i = 0; i < labels.size(); ++i)
        text_ += fmt::format("{}{}=\"{}\"", i == 0 ? '{' : ',', labels[i].first, escaped(labels[i].second));
    text_ += fmt::format("{} {}\n", labels.empty() ? "" : "}", value);
}

}  // namespace penstock::app
