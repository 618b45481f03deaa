#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/options.h"
#include "base/error.h"

namespace penstock::app {

/// What a command line asks for: to do something, or to be told something.
struct Request {
    Options options;
    std::optional<std::string> answer;  ///< help, version, manual: to be printed instead of doing anything
};

/// Reads the arguments and the variables PENSTOCK_FILE and LOG_LEVEL. Errors are of kind `usage`.
Result<Request> read_command_line(int argc, const char* const* argv);

/// One option or argument, as help, manual and completions tell of it.
struct OptionInfo {
    std::vector<std::string> names;    ///< with their dashes; empty for a positional argument
    std::string value;                 ///< what it takes, "" for a flag: FILE, N, PIPELINE
    std::vector<std::string> choices;  ///< when only these are taken
    std::string doc;
    std::string variable;  ///< of the environment
    bool required = false;
    bool repeats = false;
};

struct CommandInfo {
    std::string name;  ///< "" for the program itself
    std::string doc;
    std::vector<OptionInfo> options;
    std::vector<OptionInfo> arguments;
    std::vector<CommandInfo> commands;
};

/// The whole command line as the parser itself knows it, hidden commands and options left out.
CommandInfo describe_command_line();

}  // namespace penstock::app
