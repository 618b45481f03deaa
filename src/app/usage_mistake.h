#pragma once

#include <string>

#include "base/error.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace penstock::app {

/// The parser's complaint in our words, with the nearest name where one was mistyped. `command` is what was understood.
Error explain_mistake(CLI::App& app, const CLI::ParseError& error, const std::string& command);

/// What was asked for makes no sense.
Error misused(std::string code, std::string message, std::string hint);

}  // namespace penstock::app
