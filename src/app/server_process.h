#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::app {

/// Whom a PostgreSQL server that we start runs as. PostgreSQL refuses root, so root gives itself up.
struct ServerAccount {
    uid_t user = geteuid();
    gid_t group = getegid();
    bool other = false;

    static Result<ServerAccount> choose();
    /// In a child process. Once given up, root cannot be had back.
    bool become() const;
};

/// A program to start; what it prints goes to the end of `log`.
struct ServerProgram {
    std::vector<std::string> command;
    std::filesystem::path log;
    bool bare = false;      ///< it sees no variable of our environment, which may hold secrets
    bool isolated = false;  ///< it has a network of its own, with nobody in it: can_isolate() said that this can be
};

/// Starts a program that dies with this thread: the kernel sends it SIGQUIT, which is PostgreSQL's immediate shutdown.
Result<pid_t> start_program(const ServerProgram& program, const ServerAccount& account);

/// The exit code; -1 where a signal ended it.
int wait_for_end(pid_t child);

/// Whether this kernel and our privileges allow processes without a network.
bool can_isolate();

/// The last line of a log.
std::string last_line(const std::filesystem::path& log);

}  // namespace penstock::app
