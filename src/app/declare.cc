#include "app/declare.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace penstock::app {

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& doc, bool hidden) {
    auto* made = parent.add_subcommand(name, doc);
    if (hidden) made->group("");
    return made;
}

CLI::Option* take_names(Options& options, CLI::App* command, const std::string& what, const std::string& doc,
                        bool required) {
    auto* made = command->add_option(what, options.names, doc)->type_name("");
    return required ? made->required() : made;
}

CLI::Option* take_name(Options& options, CLI::App* command, const std::string& what, const std::string& doc,
                       bool required) {
    return take_names(options, command, what, doc, required)->expected(required ? 1 : 0, 1);
}

void take_most(Options& options, CLI::App& at, const char* doc) {
    at.add_option("--most", options.most, doc)->type_name("N")->check(count_validator())->capture_default_str();
}

CLI::Validator count_validator() {
    return CLI::Validator(
        [](std::string& text) -> std::string {
            bool whole = !text.empty() && text.size() < 19 &&
                         std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c); });
            return whole && text != "0" ? "" : fmt::format("'{}' is not a whole number above 0", text);
        },
        "", "count");
}

}  // namespace penstock::app
