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

}  // namespace penstock::app
