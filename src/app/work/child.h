#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::app {

/// A program that a pipeline runs.
struct Program {
    std::vector<std::string> words;
    std::filesystem::path folder;
    std::map<std::string, std::string> variables = {};  ///< over those of this process
    std::string place = {};                             ///< in the configuration file, for errors
    bool tells_time = false;                            ///< its lines begin with the time, which the log has anyway
};

/// What became of it.
struct ProgramEnd {
    int code = 0;
    int signal = 0;                     ///< 0: it ended by itself
    std::deque<std::string> said = {};  ///< its last lines, redacted
    bool good() const { return code == 0 && signal == 0; }
    /// "ended with exit code 3: " and its last line, "was killed by signal 9 (Killed)"; below, its last lines.
    std::string told() const;
};

/// Runs it to its end, with a process group of its own and nothing on its standard input; each line of its output goes to the log.
/// What it leaves running is ended with it. A stop asks it to end (SIGTERM), and kills it and all it has started after ten seconds
/// (app/work/keeper.h); so does the death of this process, at once. Fails where it cannot be started, and when it was stopped.
Result<ProgramEnd> run_program(const Program& program, std::stop_token stop);

}  // namespace penstock::app
