#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/failpoint.h"

namespace penstock::app {

/// Runs a pipeline by a process of its own that kills itself (SIGKILL) at a failpoint; its output is nobody's. Fails where the
/// process ended in any other way.
Status run_killed(const std::filesystem::path& configuration, const std::string& pipeline, Failpoint at);

}  // namespace penstock::app
