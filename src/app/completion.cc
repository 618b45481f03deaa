#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/output.h"

/// Completions for three shells, written from what the parser knows of itself.
namespace penstock::app {
namespace {

/// A command with the words that lead to it and all options that may stand behind it.
struct Path {
    std::string words;
    const CommandInfo* command;
    std::vector<OptionInfo> options;
};

void collect(const CommandInfo& command, const Path& parent, std::vector<Path>& paths) {
    Path path{.words = parent.words + (parent.words.empty() || command.name.empty() ? "" : " ") + command.name,
              .command = &command,
              .options = parent.options};
    path.options.insert(path.options.end(), command.options.begin(), command.options.end());
    paths.push_back(path);
    for (const auto& inner : command.commands) collect(inner, path, paths);
}

std::vector<Path> all_paths(const CommandInfo& program) {
    std::vector<Path> paths;
    collect(program, {}, paths);
    return paths;
}

/// Words that may come next: commands, or what an argument takes.
std::vector<std::string> next_words(const CommandInfo& command) {
    std::vector<std::string> words;
    for (const auto& inner : command.commands) words.push_back(inner.name);
    for (const auto& argument : command.arguments)
        words.insert(words.end(), argument.choices.begin(), argument.choices.end());
    return words;
}

bool takes_files(const OptionInfo& option) { return option.value == "FILE" || option.value == "DIR"; }

// ---- bash ------------------------------------------------------------------------------------------------------------

std::string bash_option_values(const std::vector<Path>& paths) {
    std::string cases;
    for (const auto& path : paths) {
        for (const auto& option : path.options) {
            if (option.value.empty()) continue;
            std::vector<std::string> patterns;
            for (const auto& name : option.names) patterns.push_back(fmt::format("'{}:{}'", path.words, name));
            std::string reply = takes_files(option)
                                    ? "compgen -f -- \"$word\""
                                    : fmt::format("compgen -W '{}' -- \"$word\"", fmt::join(option.choices, " "));
            cases += fmt::format("        {}) COMPREPLY=($({})); return ;;\n", fmt::join(patterns, "|"), reply);
        }
    }
    return cases;
}

std::string bash(const CommandInfo& program) {
    auto paths = all_paths(program);
    std::string steps, words;
    for (const auto& path : paths) {
        if (!path.words.empty()) {
            auto space = path.words.rfind(' ');
            std::string before = space == std::string::npos ? "" : path.words.substr(0, space);
            steps += fmt::format("            '{}:{}') command='{}' ;;\n", before, path.command->name, path.words);
        }
        std::vector<std::string> options;
        for (const auto& option : path.options) options.insert(options.end(), option.names.begin(), option.names.end());
        words += fmt::format("        '{}') if [[ $word == -* ]]; then words='{}'; else words='{}'; fi ;;\n",
                             path.words, fmt::join(options, " "), fmt::join(next_words(*path.command), " "));
    }
    return fmt::format(
        "# bash completion for penstock, written by `penstock completion bash`\n"
        "_penstock() {{\n"
        "    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command='' words='' i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case \"$command:${{COMP_WORDS[i]}}\" in\n"
        "{}"
        "        esac\n"
        "    done\n"
        "    case \"$command:$previous\" in\n"
        "{}"
        "    esac\n"
        "    case \"$command\" in\n"
        "{}"
        "    esac\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
        "}}\n"
        "complete -F _penstock penstock\n",
        steps, bash_option_values(paths), words);
}

// ---- zsh -------------------------------------------------------------------------------------------------------------

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
    return text;
}

/// Inside '…' of a _arguments specification.
std::string zsh_text(std::string text) {
    for (auto [what, by] : {std::pair{"\\", "\\\\"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}, {"'", "'\\''"}})
        text = replace_all(text, what, by);
    return text;
}

std::string zsh_option(const OptionInfo& option) {
    std::string action;
    if (!option.value.empty())
        action = fmt::format(":{}:{}", zsh_text(option.value),
                             takes_files(option)      ? "_files"
                             : option.choices.empty() ? " "
                                                      : fmt::format("({})", fmt::join(option.choices, " ")));
    std::string lines;
    for (const auto& name : option.names)
        lines += fmt::format(" \\\n        '{}[{}]{}'", name, zsh_text(option.doc), action);
    return lines;
}

std::string zsh_function(const Path& path) {
    std::string name =
        "_penstock" + (path.words.empty() ? "" : "_" + replace_all(replace_all(path.words, " ", "_"), "-", "_"));
    std::string options;
    for (const auto& option : path.options) options += zsh_option(option);
    if (path.command->commands.empty()) {
        auto words = next_words(*path.command);
        std::string rest = words.empty() ? "" : fmt::format(" \\\n        '1: :({})'", fmt::join(words, " "));
        return fmt::format("{}() {{\n    _arguments -s{}{}\n}}\n\n", name, options, rest);
    }
    std::string list, calls;
    for (const auto& inner : path.command->commands) {
        list += fmt::format("        '{}:{}'\n", inner.name, zsh_text(inner.doc));
        calls += fmt::format("        {}) {}_{} ;;\n", inner.name, name, replace_all(inner.name, "-", "_"));
    }
    return fmt::format(
        "{}() {{\n    local state line\n    local -a commands=(\n{}    )\n"
        "    _arguments -s -C{} \\\n        '1: :->command' \\\n        '*:: :->rest'\n"
        "    case $state in\n    command) _describe command commands ;;\n    rest)\n        case $line[1] in\n{}       "
        " esac ;;\n    esac\n}}\n\n",
        name, list, options, calls);
}

std::string zsh(const CommandInfo& program) {
    std::string text = "#compdef penstock\n# written by `penstock completion zsh`\n\n";
    for (const auto& path : all_paths(program)) text += zsh_function(path);
    return text + "_penstock \"$@\"\n";
}

// ---- fish ------------------------------------------------------------------------------------------------------------

std::string fish_text(std::string text) {
    return "'" + replace_all(replace_all(std::move(text), "\\", "\\\\"), "'", "\\'") + "'";
}

/// True when exactly the words of this command have been typed.
std::string fish_condition(const Path& path) {
    if (path.words.empty()) return "__fish_use_subcommand";
    std::string condition =
        "__fish_seen_subcommand_from " + replace_all(path.words, " ", "; and __fish_seen_subcommand_from ");
    if (path.command->commands.empty()) return condition;
    return condition +
           fmt::format("; and not __fish_seen_subcommand_from {}", fmt::join(next_words(*path.command), " "));
}

std::string fish_option(const OptionInfo& option, const std::string& condition) {
    std::string line = "complete -c penstock";
    if (!condition.empty()) line += " -n " + fish_text(condition);
    for (const auto& name : option.names)
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (!option.value.empty())
        line += takes_files(option) ? " -r -F" : fmt::format(" -x -a '{}'", fmt::join(option.choices, " "));
    return line + " -d " + fish_text(option.doc) + "\n";
}

std::string fish(const CommandInfo& program) {
    std::string text =
        "# fish completion for penstock, written by `penstock completion fish`\ncomplete -c penstock -f\n";
    for (const auto& option : program.options) text += fish_option(option, "");
    for (const auto& path : all_paths(program)) {
        std::string condition = fish_condition(path);
        for (const auto& inner : path.command->commands)
            text += fmt::format("complete -c penstock -n {} -a {} -d {}\n", fish_text(condition), inner.name,
                                fish_text(inner.doc));
        for (const auto& argument : path.command->arguments)
            if (!argument.choices.empty())
                text += fmt::format("complete -c penstock -n {} -a '{}'\n", fish_text(condition),
                                    fmt::join(argument.choices, " "));
        if (path.words.empty()) continue;
        for (const auto& option : path.command->options) text += fish_option(option, condition);
    }
    return text;
}

}  // namespace

Result<int> command::completion(const Session& session) {
    auto program = describe_command_line();
    const auto& shell = session.options.shell;
    PN_CHECK(print(shell == "bash" ? bash(program) : shell == "zsh" ? zsh(program) : fish(program)));
    return 0;
}

}  // namespace penstock::app
