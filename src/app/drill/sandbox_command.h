#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::app {

bool is_program(const std::filesystem::path& path);

/// The folder with the `postgres` of this major version: the configured one, else where Debian and Red Hat have it, else of PATH.
Result<std::filesystem::path> find_server_programs(int major, const std::filesystem::path& configured);

/// How a sandbox's server is started. What stands here counts over every file among the server's data: it listens in `folder` alone,
/// archives nothing, follows nobody and runs nothing of its own. `readers` are let in before recovery has ended.
std::vector<std::string> sandbox_command(const std::filesystem::path& programs, const std::filesystem::path& folder,
                                         int major, const std::vector<std::string>& libraries, bool readers);

}  // namespace penstock::app
