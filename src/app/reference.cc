#include "app/reference.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/components.h"
#include "app/output.h"
#include "app/terminal.h"
#include "app/text_table.h"
#include "base/failpoint.h"
#include "config/json_schema.h"
#include "config/markdown.h"

/// What the program knows about itself, told.
namespace penstock::app {
namespace {

std::string options_text(const config::SpecBase& spec, std::string_view where) {
    TextTable table({{.heading = "  OPTION"},
                     {.heading = "TAKES"},
                     {.heading = "DEFAULT", .most = 24},
                     {.heading = "MEANING", .most = 90}});
    for (const auto& option : spec.options())
        table.add(
            {"  " + option.name, option.shape.noun, option.required ? "(required)" : option.default_text, option.doc});
    return fmt::format("{}\n{}\n", paint_stdout(Colour::bold, where), table.text());
}

std::string component_text(const config::ComponentSpecs& component) {
    std::string text = fmt::format("{}: {}\n\n", paint_stdout(Colour::bold, component.type), component.doc);
    text += options_text(*component.connection, fmt::format("{} under `connections:`", component.type));
    if (component.source != nullptr)
        text += options_text(*component.source, fmt::format("{} as `source:`", component.type));
    if (component.target != nullptr)
        text += options_text(*component.target, fmt::format("{} as `target:`", component.type));
    return text;
}

struct Page {
    std::string name;
    std::string text;
};

std::vector<Page> pages() {
    std::vector<Page> pages = {{"commands", command_line_markdown()},
                               {"configuration", config::configuration_markdown(catalog())}};
    for (const auto& component : catalog()) pages.push_back({component.type, config::component_markdown(component)});
    return pages;
}

constexpr auto generated =
    "<!-- Written by `penstock docs`; to change it, change what the program says of itself. -->\n\n";

}  // namespace

Result<int> command::components(const Session& session) {
    if (session.json()) {
        PN_CHECK(print_json({{"components", nlohmann::ordered_json::parse(config::components_json(catalog()))}}));
        return 0;
    }
    std::string text;
    for (const auto& component : catalog()) text += component_text(component);
    PN_CHECK(print(text));
    return 0;
}

Result<int> command::config_schema(const Session&) {
    PN_CHECK(print(config::json_schema(catalog())));
    return 0;
}

Result<int> command::failpoints(const Session&) {
    std::string text;
    for (const auto& point : penstock::failpoints()) text += fmt::format("{}\t{}\n", point.name, point.what);
    PN_CHECK(print(text));
    return 0;
}

Result<int> command::docs(const Session& session) {
    std::string names;
    for (const auto& page : pages()) {
        if (page.name == session.options.page) {
            PN_CHECK(print(generated + page.text));
            return 0;
        }
        names += page.name + "\n";
    }
    if (session.options.page.empty()) {
        PN_CHECK(print(names));
        return 0;
    }
    return fail({.kind = ErrorKind::usage,
                 .code = "no_such_page",
                 .message = fmt::format("there is no page '{}'", session.options.page),
                 .hint = "`penstock docs` lists them"});
}

}  // namespace penstock::app
