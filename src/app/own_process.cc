#include "app/own_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "app/pipe.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

/// Of what a command prints; more is no answer for a page or a program that polls.
constexpr size_t most_output = size_t{32} << 20;

std::string_view name_of(log::Level level) {
    switch (level) {
        case log::Level::debug: return "debug";
        case log::Level::info: return "info";
        case log::Level::warning: return "warning";
        case log::Level::error: return "error";
    }
    std::unreachable();
}

/// What a process starts with.
class SpawnSettings {
  public:
    explicit SpawnSettings(Streams streams) {
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        if (streams.out < 0) posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
        else posix_spawn_file_actions_adddup2(&files, streams.out, 1);
        if (streams.error >= 0) posix_spawn_file_actions_adddup2(&files, streams.error, 2);
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

Error broken(std::string code, std::string message, std::string hint) {
    return {
        .kind = ErrorKind::capacity, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

/// What the process said before it ended badly: its last error line.
Error error_in(const std::string& lines, int code) {
    Error error{.kind = code == 2 ? ErrorKind::usage : ErrorKind::unavailable,
                .code = "command_failed",
                .message = fmt::format("the command ended with exit code {} and said nothing", code)};
    size_t begin = 0;
    while (begin < lines.size()) {
        auto end = std::min(lines.find('\n', begin), lines.size());
        auto line = Json::parse(lines.begin() + static_cast<ptrdiff_t>(begin),
                                lines.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
        begin = end + 1;
        if (!line.is_object() || line.value("level", "") != "error") continue;
        error.message = line.value("message", error.message);
        auto details = line.find("metadata");
        if (details == line.end() || !details->is_object()) continue;
        auto text = [&](const char* name, std::string& into) {
            if (auto found = details->find(name); found != details->end() && found->is_string()) into = *found;
        };
        text("code", error.code), text("where", error.where), text("hint", error.hint);
    }
    return error;
}

/// Reads both to their ends. False when time is up, or there is more than anybody wants.
bool read_both(const Pipe& out, const Pipe& err, std::string& output, std::string& errors,
               steady_clock::time_point until) {
    std::array<pollfd, 2> ends{{{out.reading(), POLLIN, 0}, {err.reading(), POLLIN, 0}}};
    std::array<std::string*, 2> into{&output, &errors};
    std::array<char, 65536> buffer{};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now()).count();
        if (left <= 0 || output.size() + errors.size() > most_output) return false;
        if (::poll(ends.data(), ends.size(), static_cast<int>(left)) < 0 && errno != EINTR) return false;
        for (size_t i = 0; i < ends.size(); ++i) {
            if (ends[i].fd < 0 || ends[i].revents == 0) continue;
            auto got = ::read(ends[i].fd, buffer.data(), buffer.size());
            if (got > 0) into[i]->append(buffer.data(), static_cast<size_t>(got));
            else if (got == 0 || errno != EINTR) ends[i].fd = -1;
        }
    }
    return true;
}

/// Asked to stop, then not asked.
void end_process(pid_t pid) {
    ::kill(pid, SIGTERM);
    for (int i = 0; i < 100; ++i) {
        if (::waitpid(pid, nullptr, WNOHANG) == pid) return;
        ::usleep(100'000);
    }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

}  // namespace

std::vector<std::string> own_words(const Session& session, log::Format format) {
    const auto& options = session.options;
    std::vector<std::string> words = {"penstock",
                                      "--file",
                                      options.file,
                                      "--output",
                                      "json",
                                      "--log-format",
                                      format == log::Format::json ? "json" : "text"};
    if (!options.state.empty()) words.insert(words.end(), {"--state", options.state});
    if (options.log_level) words.insert(words.end(), {"--log-level", std::string(name_of(*options.log_level))});
    if (options.quiet) words.emplace_back("--quiet");
    return words;
}

Result<pid_t> start_own(std::vector<std::string> words, Streams streams) {
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    SpawnSettings settings(streams);
    pid_t pid = 0;
    int error = posix_spawn(&pid, "/proc/self/exe", &settings.files, &settings.attributes, arguments.data(), environ);
    if (error == 0) return pid;
    return fail(broken("not_started", fmt::format("no process can be started: {}", std::strerror(error)),
                       "look at the machine's memory and its limit of processes"));
}

Result<Json> ask_own(const Session& session, std::vector<std::string> command, std::chrono::seconds most,
                     int also_good) {
    auto words = own_words(session, log::Format::json);
    words.insert(words.end(), command.begin(), command.end());
    Pipe out, err;
    if (!out.good() || !err.good())
        return fail(broken("not_started", fmt::format("no pipe can be made: {}", std::strerror(errno)),
                           "look at the machine's limit of open files"));
    PN_TRY(auto pid, start_own(std::move(words), {.out = out.writing(), .error = err.writing()}));
    out.close_writing();
    err.close_writing();
    std::string output, errors;
    if (!read_both(out, err, output, errors, steady_clock::now() + most)) {
        end_process(pid);
        return fail(broken("took_too_long",
                           fmt::format("the command was stopped: no whole answer within {} seconds", most.count()),
                           fmt::format("run it by hand: penstock {}", fmt::join(command, " "))));
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status))
        return fail(broken("command_died", fmt::format("the command ended with signal {}", WTERMSIG(status)),
                           "look at the machine's memory"));
    int code = WEXITSTATUS(status);
    auto json = Json::parse(output, nullptr, false);
    if (code != 0 && (code != also_good || json.is_discarded())) return fail(error_in(errors, code));
    if (json.is_discarded())
        return fail(broken("no_answer", "the command printed no JSON", "look into the log of this server"));
    return json;
}

}  // namespace penstock::app
