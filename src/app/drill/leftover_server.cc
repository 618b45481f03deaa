#include "app/drill/leftover_server.h"

#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/log.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

/// A server's working directory is its data folder (PostgreSQL: ChangeToDataDir).
bool works_in(pid_t process, const fs::path& folder) {
    std::error_code failed;
    auto there = fs::read_symlink(fmt::format("/proc/{}/cwd", process), failed);
    return !failed && there == fs::weakly_canonical(folder, failed) && !failed;
}

}  // namespace

Status stop_leftover_server(const fs::path& data) {
    constexpr std::chrono::seconds patience{30};
    std::ifstream file(data / "postmaster.pid");
    pid_t server = 0;
    if (!(file >> server) || server <= 0 || !works_in(server, data)) return {};
    log::info("the server {} is stopped, which an earlier drill left running in {}", server, data.string());
    for (int number : {SIGQUIT, SIGKILL}) {
        ::kill(server, number);
        auto until = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < until) {
            if (!works_in(server, data)) return {};
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    return fail({.kind = ErrorKind::conflict,
                 .code = "server_left_running",
                 .message = fmt::format("the server {} of an earlier drill cannot be stopped", server),
                 .where = data.string(),
                 .hint = "stop it, and drill again"});
}

}  // namespace penstock::app
