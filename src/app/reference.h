#pragma once

#include <string>

namespace penstock::app {

/// docs/reference/commands.md.
std::string command_line_markdown();

}  // namespace penstock::app
