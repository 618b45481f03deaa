#include "app/schedule/children.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/log.h"

namespace penstock::app {
namespace {

std::string_view name_of(log::Level level) {
    switch (level) {
        case log::Level::debug: return "debug";
        case log::Level::info: return "info";
        case log::Level::warning: return "warning";
        case log::Level::error: return "error";
    }
    std::unreachable();
}

std::vector<std::string> command_line(const Session& session, const schedule::Interval& interval,
                                      const std::string& token) {
    const auto& options = session.options;
    std::vector<std::string> words = {"penstock",
                                      "--file",
                                      options.file,
                                      "--output",
                                      "json",
                                      "--log-format",
                                      session.log_format == log::Format::json ? "json" : "text"};
    if (!options.state.empty()) words.insert(words.end(), {"--state", options.state});
    if (options.log_level) words.insert(words.end(), {"--log-level", std::string(name_of(*options.log_level))});
    if (options.quiet) words.emplace_back("--quiet");
    words.insert(words.end(), {"run", interval.pipeline, "--drain", "--interval", token});
    return words;
}

/// What a child starts with: nothing of ours but the environment, the folder and standard error.
class SpawnSettings {
  public:
    SpawnSettings() {
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addclosefrom_np(&files, 3);  // sockets, which would outlive us
        posix_spawnattr_init(&attributes);
        sigset_t none, pipe;
        sigemptyset(&none);
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &pipe);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    ~SpawnSettings() {
        posix_spawn_file_actions_destroy(&files);
        posix_spawnattr_destroy(&attributes);
    }
    SpawnSettings(const SpawnSettings&) = delete;
    SpawnSettings& operator=(const SpawnSettings&) = delete;

    posix_spawn_file_actions_t files{};
    posix_spawnattr_t attributes{};
};

}  // namespace

Children::Children(const Session& session, size_t workers, std::function<size_t()> others)
    : session_(session), workers_(workers), others_(std::move(others)) {}

size_t Children::room() const {
    size_t taken = others_();
    std::lock_guard lock(mutex_);
    taken += running_.size();
    return taken < workers_ ? workers_ - taken : 0;
}

Status Children::start(const schedule::Interval& interval, const std::string& token) {
    auto words = command_line(session_, interval, token);
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    SpawnSettings settings;
    pid_t pid = 0;
    std::lock_guard lock(mutex_);
    int error = posix_spawn(&pid, "/proc/self/exe", &settings.files, &settings.attributes, arguments.data(), environ);
    if (error != 0)
        return fail({.kind = ErrorKind::capacity,
                     .code = "not_started",
                     .message = fmt::format("no process can be started: {}", std::strerror(error)),
                     .hint = "look at the machine's memory and its limit of processes"});
    running_.emplace(pid, token);
    log::info("{} runs for {} as process {}", interval.pipeline, iso_time(interval.end), pid);
    return {};
}

std::vector<Runs::Ended> Children::ended() {
    std::lock_guard lock(mutex_);
    std::vector<Ended> all;
    for (auto child = running_.begin(); child != running_.end();) {
        int status = 0;
        if (waitpid(child->first, &status, WNOHANG) != child->first) {
            ++child;
            continue;
        }
        all.push_back({child->second, WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                                          : fmt::format("exit code {}", WEXITSTATUS(status))});
        child = running_.erase(child);
    }
    return all;
}

std::set<std::string> Children::tokens() const {
    std::lock_guard lock(mutex_);
    std::set<std::string> all;
    for (const auto& [pid, token] : running_) all.insert(token);
    return all;
}

void Children::stop(int signal) {
    std::lock_guard lock(mutex_);
    for (const auto& [pid, token] : running_) ::kill(pid, signal);
}

}  // namespace penstock::app
