#include "app/killed_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <vector>

namespace penstock::app {
namespace {

Error demo_error(std::string message) {
    return {.kind = ErrorKind::internal,
            .code = "demo_failed",
            .message = std::move(message),
            .hint = "this is a fault of penstock: please report it"};
}

}  // namespace

Status run_killed(const std::filesystem::path& configuration, const std::string& pipeline, Failpoint at) {
    std::vector<std::string> words = {"penstock", "run", pipeline, "--file", configuration.string(), "--quiet"};
    std::vector<std::string> variables = {
        fmt::format("PENSTOCK_FAILPOINT={}=kill", failpoints()[static_cast<size_t>(at)].name)};
    for (char** entry = environ; *entry != nullptr; ++entry)
        if (!std::string_view(*entry).starts_with("PENSTOCK_FAILPOINT=")) variables.emplace_back(*entry);
    auto pointers = [](std::vector<std::string>& texts) {
        std::vector<char*> out;
        for (auto& text : texts) out.push_back(text.data());
        out.push_back(nullptr);
        return out;
    };
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        posix_spawn_file_actions_addopen(&files, stream, "/dev/null", O_RDWR, 0);
    pid_t child = 0;
    int failed =
        posix_spawn(&child, "/proc/self/exe", &files, nullptr, pointers(words).data(), pointers(variables).data());
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0)
        return fail(demo_error(fmt::format("a second process could not begin: {}", std::strerror(failed))));
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return {};
    return fail(demo_error("a run that was to be killed was not"));
}

}  // namespace penstock::app
