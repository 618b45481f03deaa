#pragma once

namespace penstock::app {

/// The whole program, from the command line to the exit code.
int program(int argc, const char* const* argv);

}  // namespace penstock::app
