#include "transform/steps/program_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"

extern char** environ;

namespace penstock::steps {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int look_every_ms = 100;
constexpr size_t longest_line = 2000;

std::string system_message(int code) { return std::generic_category().message(code); }

struct Pipe {
    int ends[2] = {-1, -1};
    bool open() { return ::pipe2(ends, O_CLOEXEC) == 0; }
    ~Pipe() {
        for (int end : ends)
            if (end >= 0) ::close(end);
    }
    int take(int which) { return std::exchange(ends[which], -1); }
};

void close_end(int& end) {
    if (end >= 0) ::close(std::exchange(end, -1));
}

Error interrupted() {
    return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the run was stopped"};
}

}  // namespace

Result<std::unique_ptr<ProgramProcess>> ProgramProcess::start(ProgramOptions options, std::stop_token stop) {
    std::unique_ptr<ProgramProcess> made(new ProgramProcess(std::move(options), std::move(stop)));
    PN_CHECK(made->spawn());
    made->moved_ = Clock::now();
    return made;
}

Status ProgramProcess::spawn() {
    Pipe in, out, err;
    if (!in.open() || !out.open() || !err.open())
        return fail({.kind = ErrorKind::capacity,
                     .code = "program_not_started",
                     .message = fmt::format("no pipes for the program {}: {}", name(), system_message(errno)),
                     .hint = "raise the limit of open files (ulimit -n), or lower `parallel`"});
    std::vector<char*> words;
    for (auto& word : options_.command) words.push_back(word.data());
    words.push_back(nullptr);
    std::string table = "PENSTOCK_TABLE=" + options_.table;
    std::vector<char*> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    variables.push_back(table.data());
    variables.push_back(nullptr);

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in.ends[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out.ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, err.ends[1], STDERR_FILENO);
    if (!options_.directory.empty()) posix_spawn_file_actions_addchdir_np(&files, options_.directory.c_str());
    // Signals are as a shell would have them; a group of its own, so that Ctrl-C reaches us first.
    posix_spawnattr_t how;
    posix_spawnattr_init(&how);
    sigset_t usual, none;
    sigfillset(&usual);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&how, &usual);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    int failed = posix_spawnp(&pid_, words[0], &files, &how, words.data(), variables.data());
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    if (failed != 0) {
        reaped_ = true;
        return fail({.kind = ErrorKind::configuration,
                     .code = "program_not_started",
                     .message = fmt::format("the program {} cannot be started: {}", name(), system_message(failed)),
                     .where = options_.place,
                     .hint = "name one that is on the PATH, or a path from the folder of the configuration file"});
    }
    input_ = in.take(1);
    output_ = out.take(0);
    messages_ = err.take(0);
    ::fcntl(input_, F_SETFL, O_NONBLOCK);
    ::fcntl(messages_, F_SETFL, O_NONBLOCK);
    return {};
}

ProgramProcess::~ProgramProcess() {
    kill();
    if (!reaped_) ::waitpid(pid_, &status_, 0);
    close_end(input_);
    close_end(output_);
    close_end(messages_);
}

std::string ProgramProcess::name() const { return fmt::format("`{}`", fmt::join(options_.command, " ")); }

void ProgramProcess::kill() {
    std::lock_guard lock(pid_mutex_);
    killed_ = true;
    if (!reaped_) ::kill(-pid_, SIGKILL);
}

Status ProgramProcess::write(const char* bytes, size_t size) {
    while (size != 0) {
        if (stop_.stop_requested() || killed_) return fail(interrupted());
        pollfd ready{.fd = input_, .events = POLLOUT, .revents = 0};
        if (::poll(&ready, 1, look_every_ms) <= 0) continue;
        ssize_t written = ::write(input_, bytes, size);
        if (written < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (written < 0)
            return fail(
                {.kind = ErrorKind::refused,
                 .code = "program_failed",
                 .message = fmt::format("the program {} stopped reading before the rows came to their end", name()),
                 .where = options_.place,
                 .hint = "it must read its standard input to the end; its messages are in the log"});
        moved_ = Clock::now();
        bytes += written;
        size -= static_cast<size_t>(written);
    }
    return {};
}

void ProgramProcess::close_input() { close_end(input_); }

Result<size_t> ProgramProcess::read(char* bytes, size_t size) {
    // Until now nobody wanted anything of it.
    moved_ = Clock::now();
    while (true) {
        if (stop_.stop_requested()) return fail(interrupted());
        pollfd ready[] = {{.fd = output_, .events = POLLIN, .revents = 0},
                          {.fd = messages_, .events = POLLIN, .revents = 0}};
        ::poll(ready, 2, look_every_ms);
        if (ready[1].revents != 0) read_messages();
        if (ready[0].revents != 0) {
            ssize_t got = ::read(output_, bytes, size);
            if (got < 0 && errno == EINTR) continue;
            return got < 0 ? 0 : static_cast<size_t>(got);
        }
        if (waits_) moved_ = Clock::now();
        else if (Clock::now() - moved_.load() > options_.timeout) return fail(silent());
    }
}

void ProgramProcess::read_messages() {
    char bytes[4096];
    ssize_t got;
    while (messages_ >= 0 && (got = ::read(messages_, bytes, sizeof bytes)) > 0) {
        line_.append(bytes, static_cast<size_t>(got));
        log_lines(false);
    }
    if (got == 0) close_end(messages_);
}

void ProgramProcess::log_lines(bool all) {
    while (!line_.empty()) {
        size_t end = std::min(line_.find('\n'), longest_line);
        if (end >= line_.size() && !all) return;
        std::string line = line_.substr(0, end);
        line_.erase(0, end < line_.size() && line_[end] == '\n' ? end + 1 : end);
        if (line.find_first_not_of(" \t\r") == line.npos) continue;
        log::info("{}: {}", name(), line);
        last_line_ = std::move(line);
    }
}

bool ProgramProcess::ended(int flags) {
    std::lock_guard lock(pid_mutex_);
    if (!reaped_ && ::waitpid(pid_, &status_, flags) == pid_) reaped_ = true;
    return reaped_;
}

Status ProgramProcess::finish() {
    auto begun = Clock::now();
    while (!ended(WNOHANG)) {
        if (stop_.stop_requested()) return fail(interrupted());
        if (Clock::now() - begun > options_.timeout) return fail(silent());
        pollfd ready{.fd = messages_, .events = POLLIN, .revents = 0};
        // Nothing tells when a process ends but asking; it is about to.
        if (::poll(&ready, 1, messages_ >= 0 ? 5 : 2) > 0) read_messages();
    }
    read_messages();
    log_lines(true);
    if (WIFEXITED(status_) && WEXITSTATUS(status_) == 0) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "program_failed",
                 .message = fmt::format("the program {} {}", name(), how_it_ended()),
                 .where = options_.place,
                 .hint = "its messages are in the log; nothing of the rows that went through it was committed"});
}

std::string ProgramProcess::how_it_ended() const {
    std::string how = WIFSIGNALED(status_) ? fmt::format("was ended by signal {}", WTERMSIG(status_))
                                           : fmt::format("ended with exit code {}", WEXITSTATUS(status_));
    return last_line_.empty() ? how : fmt::format("{}: {}", how, last_line_);
}

Error ProgramProcess::silent() const {
    return {.kind = ErrorKind::unavailable,
            .code = "program_timeout",
            .message = fmt::format("the program {} neither took nor gave rows, nor ended, for {:.3g} s", name(),
                                   std::chrono::duration<double>(options_.timeout).count()),
            .where = options_.place,
            .hint = "raise its `timeout`, or see what it waits for"};
}

Error ProgramProcess::broken(std::string code, std::string message) {
    // It may be about to end, and then says better what is wrong.
    for (int i = 0; i < 100 && !ended(WNOHANG); ++i) ::usleep(5000);
    read_messages();
    log_lines(true);
    bool badly = reaped_ && !(WIFEXITED(status_) && WEXITSTATUS(status_) == 0);
    if (badly) code = "program_failed", message = how_it_ended();
    return {
        .kind = ErrorKind::refused,
        .code = std::move(code),
        .message = fmt::format("the program {} {}", name(), message),
        .where = options_.place,
        .hint =
            "on its standard output stands an Arrow IPC stream and nothing else, with a schema even where there are no "
            "rows; messages go to its standard error"};
}

}  // namespace penstock::steps
