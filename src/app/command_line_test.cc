#include "app/command_line.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace penstock;
using namespace penstock::app;

namespace {

Result<Request> read(std::vector<const char*> words) {
    words.insert(words.begin(), "penstock");
    return read_command_line(static_cast<int>(words.size()), words.data());
}

void check_described(const CommandInfo& command) {
    CAPTURE(command.name);
    CHECK(!command.doc.empty());
    for (const auto& option : command.options) {
        CHECK(!option.names.empty());
        CHECK(!option.doc.empty());
    }
    for (const auto& argument : command.arguments) CHECK(!argument.doc.empty());
    for (const auto& inner : command.commands) check_described(inner);
}

}  // namespace

TEST_CASE("options of every command may stand before or after it") {
    for (auto words : {std::vector{"--output", "json", "-f", "x.yaml", "run", "a", "b"},
                       std::vector{"run", "a", "b", "--output", "json", "-f", "x.yaml"}}) {
        auto request = read(words);
        REQUIRE(request.has_value());
        CHECK(request->options.command == "run");
        CHECK(request->options.output == OutputFormat::json);
        CHECK(request->options.file == "x.yaml");
        CHECK(request->options.names == std::vector<std::string>{"a", "b"});
    }
}

TEST_CASE("a command of a command is named by both words") {
    auto request = read({"rejects", "list", "--most", "3"});
    REQUIRE(request.has_value());
    CHECK(request->options.command == "rejects list");
    CHECK(request->options.most == 3);
}

TEST_CASE("levels of other programs' LOG_LEVEL are understood") {
    CHECK(read({"check", "--log-level", "WARN"})->options.log_level == log::Level::warning);
    CHECK(read({"check", "--log-level", "trace"})->options.log_level == log::Level::debug);
    CHECK(!read({"check", "--log-level", "loud"}).has_value());
}

TEST_CASE("mistakes are usage errors that name what was meant") {
    struct Mistake {
        std::vector<const char*> words;
        const char* message;
        const char* hint;
    };
    for (const Mistake& mistake :
         {Mistake{{"rnu"}, "there is no command 'rnu'", "did you mean run?"},
          Mistake{{"rejects", "lst"}, "there is no command 'rejects lst'", "did you mean list?"},
          Mistake{{"run", "--al"}, "`penstock run` takes no option '--al'", "did you mean --all?"},
          Mistake{{"rejects"}, "`penstock rejects` needs a command", "`penstock rejects --help` says how it is used"},
          Mistake{{"export"}, "`penstock export` needs a command", "`penstock export --help` says how it is used"},
          Mistake{{"run", "--limit", "0"},
                  "penstock run: --limit: '0' is not a whole number above 0",
                  "`penstock run --help` says how it is used"}}) {
        auto request = read(mistake.words);
        REQUIRE(!request.has_value());
        CHECK(request.error().kind == ErrorKind::usage);
        CHECK(request.error().message == mistake.message);
        CHECK(request.error().hint == mistake.hint);
    }
}

TEST_CASE("without a command, or asked for help, the program says what it can do") {
    CHECK(read({})->answer->find("Subcommands:") != std::string::npos);
    CHECK(read({"run", "--help"})->answer->find("--full-refresh") != std::string::npos);
    CHECK(read({"--version"})->answer->starts_with("penstock "));
}

TEST_CASE("everything in the description is described, and hidden commands are not in it") {
    auto program = describe_command_line();
    check_described(program);
    CHECK(std::ranges::none_of(
        program.commands, [](const auto& command) { return command.name == "failpoints" || command.name == "docs"; }));
    auto output = std::ranges::find(program.options, std::vector<std::string>{"--output"}, &OptionInfo::names);
    REQUIRE(output != program.options.end());
    CHECK(output->choices == std::vector<std::string>{"text", "json"});
    CHECK(output->value == "FORMAT");
}
