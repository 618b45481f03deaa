#pragma once

#include <filesystem>

#include "base/error.h"

namespace penstock::app {

/// Stops the server that runs on this data folder, known by its pid file, and waits for its end. Nothing is done to a process that
/// has the number and works elsewhere.
Status stop_leftover_server(const std::filesystem::path& data);

}  // namespace penstock::app
