#pragma once

#include <sys/types.h>

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "app/commands.h"

namespace penstock::app {

/// This program as another process, with the configuration, state and logging of this one: a run that crashes or a target that is held takes
/// nobody with it.

/// "penstock --file … --output json …", up to the command.
std::vector<std::string> own_words(const Session& session, log::Format format);

/// Where a process writes; -1 is nowhere for `out`, and where this process writes for `error`.
struct Streams {
    int out = -1;
    int error = -1;
};
/// Starts it with nothing of ours but the environment, the folder and standard error.
Result<pid_t> start_own(std::vector<std::string> words, Streams streams = {});

/// Runs a command to its end and gives the JSON that it prints. One that fails gives the error that it says, unless it is by the exit code
/// that is `also_good`; one that takes longer than `most` is stopped, as by SIGTERM. Any thread.
Result<nlohmann::ordered_json> ask_own(const Session& session, std::vector<std::string> command,
                                       std::chrono::seconds most, int also_good = 0);

}  // namespace penstock::app
