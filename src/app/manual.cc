#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/output.h"
#include "app/reference.h"
#include "base/version.h"

/// The manual page and the reference of the command line, written from what the parser knows of itself.
namespace penstock::app {
namespace {

std::string roff(std::string_view text) {
    std::string escaped;
    for (char c : text) {
        if (c == '\\') escaped += "\\\\";
        else if (c == '-') escaped += "\\-";
        else escaped += c;
    }
    // A line that begins with a dot or a quote would be a request.
    return escaped.starts_with('.') || escaped.starts_with('\'') ? "\\&" + escaped : escaped;
}

std::string value_of(const OptionInfo& option) {
    if (option.choices.empty()) return option.value;
    return fmt::format("{}", fmt::join(option.choices, "|"));
}

std::string doc_of(const OptionInfo& option) {
    std::string doc = option.doc + ".";
    return option.variable.empty() ? doc
                                   : doc + fmt::format(" The environment variable {} does the same.", option.variable);
}

std::string roff_options(const std::vector<OptionInfo>& options) {
    std::string text;
    for (const auto& option : options) {
        std::string value = value_of(option);
        text += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", roff(fmt::format("{}", fmt::join(option.names, ", "))),
                            value.empty() ? "" : fmt::format(" \\fI{}\\fR", roff(value)), roff(doc_of(option)));
    }
    return text;
}

std::string synopsis(const CommandInfo& command, const std::string& words) {
    std::string text = words;
    for (const auto& argument : command.arguments) {
        std::string name = argument.choices.empty() ? argument.value : value_of(argument);
        if (argument.repeats) name += "…";
        text += argument.required ? " " + name : fmt::format(" [{}]", name);
    }
    return text;
}

/// The commands that do something, with the words that call them.
void leaves(const CommandInfo& command, const std::string& words,
            std::vector<std::pair<std::string, const CommandInfo*>>& into) {
    std::string here = words.empty() ? command.name : words + " " + command.name;
    if (command.commands.empty()) into.emplace_back(here, &command);
    for (const auto& inner : command.commands) leaves(inner, here, into);
}

std::vector<std::pair<std::string, const CommandInfo*>> all_commands(const CommandInfo& program) {
    std::vector<std::pair<std::string, const CommandInfo*>> commands;
    for (const auto& command : program.commands) leaves(command, "", commands);
    return commands;
}

std::string man_page(const CommandInfo& program) {
    std::string text = fmt::format(".TH PENSTOCK 1 \"\" \"penstock {}\" \"User Commands\"\n", version);
    text += ".SH NAME\npenstock \\- move tables into a warehouse, incrementally and exactly once\n";
    text += ".SH SYNOPSIS\n.B penstock\n[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n";
    text += ".SH DESCRIPTION\n" + roff(program.doc) + "\n.SH COMMANDS\n";
    for (const auto& [words, command] : all_commands(program))
        text += fmt::format(".SS {}\n{}.\n{}", roff(synopsis(*command, words)), roff(command->doc),
                            roff_options(command->options));
    text += ".SH OPTIONS\nThese may stand before or after the command.\n" + roff_options(program.options);
    text +=
        ".SH EXIT STATUS\n.TP\n0\nDone.\n.TP\n1\nA run failed.\n.TP\n2\nBad usage or configuration.\n.TP\n3\nA "
        "check "
        "failed.\n"
        ".TP\n4\nStopped by a budget.\n.TP\n130\nInterrupted; state is consistent.\n";
    text +=
        ".SH ENVIRONMENT\n.TP\n.B PENSTOCK_FILE\nThe configuration, as \\-\\-file.\n.TP\n.B LOG_LEVEL\nHow much is "
        "logged, as \\-\\-log\\-level.\n"
        ".TP\n.B NO_COLOR\nWhen set, nothing is coloured.\n";
    return text +
           ".SH FILES\n.TP\n.I penstock.yaml\nThe configuration.\n.TP\n.I .penstock/state.db\nRun history and locks.\n";
}

std::string markdown_options(const std::vector<OptionInfo>& options) {
    std::string text = "| option | meaning |\n|---|---|\n";
    for (const auto& option : options) {
        std::string value = value_of(option);
        for (size_t at = value.find('|'); at != value.npos; at = value.find('|', at + 2)) value.insert(at, 1, '\\');
        text += fmt::format("| `{}{}` | {} |\n", fmt::join(option.names, "`, `"), value.empty() ? "" : " " + value,
                            doc_of(option));
    }
    return text;
}

}  // namespace

std::string command_line_markdown() {
    auto program = describe_command_line();
    std::string text = fmt::format(
        "# Commands\n\n{}\n\n## Options of every command\n\nThey may stand before or after the command.\n\n{}\n",
        program.doc, markdown_options(program.options));
    for (const auto& [words, command] : all_commands(program)) {
        text += fmt::format("## penstock {}\n\n```\npenstock {}\n```\n\n{}.\n\n", words, synopsis(*command, words),
                            command->doc);
        if (!command->options.empty()) text += markdown_options(command->options) + "\n";
    }
    return text +
           "## Exit codes\n\n| code | meaning |\n|---|---|\n| 0 | done |\n| 1 | a run failed |\n| 2 | bad usage or "
           "configuration |\n"
           "| 3 | a check failed |\n| 4 | stopped by a budget |\n| 130 | interrupted; state is consistent |\n";
}

Result<int> command::manual(const Session&) {
    PN_CHECK(print(man_page(describe_command_line())));
    return 0;
}

}  // namespace penstock::app
