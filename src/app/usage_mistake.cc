#include "app/usage_mistake.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/humane.h"

namespace penstock::app {
namespace {

Error usage_error(std::string message, std::string hint) {
    return {.kind = ErrorKind::usage, .code = "usage", .message = std::move(message), .hint = std::move(hint)};
}

const CLI::App& innermost(const CLI::App& app) {
    return app.get_subcommands().empty() ? app : innermost(*app.get_subcommands().front());
}

std::vector<std::string> known_words(const CLI::App& app, bool options) {
    std::vector<std::string> words;
    if (!options) {
        for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
            words.push_back(command->get_name());
        return words;
    }
    for (const CLI::App* at = &app; at != nullptr; at = at->get_parent())
        for (const auto* option : at->get_options())
            for (const auto& name : option->get_lnames()) words.push_back("--" + name);
    return words;
}

/// What stands on the command line and belongs nowhere.
Error unknown_word(const CLI::App& at, const std::string& word, const std::string& command) {
    bool option = word.starts_with("-");
    std::string help = fmt::format("`penstock {}{}--help` lists what is there", command, command.empty() ? "" : " ");
    std::string known = nearest_name(word, known_words(at, option));
    std::string message = option || at.get_subcommands([](const CLI::App*) { return true; }).empty()
                              ? fmt::format("`penstock{}{}` takes no {}'{}'", command.empty() ? "" : " ", command,
                                            option ? "option " : "", word)
                              : fmt::format("there is no command '{}{}{}'", command, command.empty() ? "" : " ", word);
    return usage_error(std::move(message), known.empty() ? help : fmt::format("did you mean {}?", known));
}

}  // namespace

Error explain_mistake(CLI::App& app, const CLI::ParseError& error, const std::string& command) {
    const CLI::App& at = innermost(app);
    auto extra = app.remaining(true);
    if (!extra.empty()) return unknown_word(at, extra.front(), command);
    std::string prefix = command.empty() ? "penstock" : "penstock " + command;
    std::string hint = fmt::format("`{} --help` says how it is used", prefix);
    bool wants_command =
        !at.get_subcommands([](const CLI::App*) { return true; }).empty() && at.get_subcommands().empty();
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && wants_command)
        return usage_error(fmt::format("`{}` needs a command", prefix), hint);
    return usage_error(fmt::format("{}: {}", prefix, error.what()), hint);
}

Error misused(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::usage, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

}  // namespace penstock::app
