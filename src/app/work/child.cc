#include "app/work/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "app/pipe.h"
#include "app/work/keeper.h"
#include "app/work/output_lines.h"
#include "base/log.h"

namespace penstock::app {
namespace {

std::string message_of(int code) { return std::generic_category().message(code); }

Error not_started(const Program& program, std::string why, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = "program_not_started",
            .message = fmt::format("{} cannot be started: {}", program.words.front(), why),
            .where = program.place,
            .hint = std::move(hint)};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (auto& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

std::vector<std::string> environment_of(const Program& program) {
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        std::string_view text(*entry);
        if (!program.variables.contains(std::string(text.substr(0, text.find('='))))) all.emplace_back(text);
    }
    for (const auto& [name, value] : program.variables) all.push_back(name + "=" + value);
    return all;
}

/// The keeper, with the program's output.
class Kept {
  public:
    ~Kept() {
        orders_.close_writing();  // which ends it, where it has not ended
        if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    }

    Status start(const Program& program) {
        if (!output_.good() || !orders_.good() || !reports_.good()) return fail(no_pipes(program));
        std::vector<std::string> words = {std::string(keeper_name)};
        words.insert(words.end(), program.words.begin(), program.words.end());
        auto variables = environment_of(program);
        // First above all that is given away, so that nothing is overwritten before it is.
        std::array<int, 3> high{};
        for (size_t i = 0; i < high.size(); ++i)
            high[i] =
                ::fcntl(std::array{output_.writing(), orders_.reading(), reports_.writing()}[i], F_DUPFD_CLOEXEC, 16);
        if (std::ranges::find(high, -1) != high.end()) {
            for (int end : high)
                if (end >= 0) ::close(end);
            return fail(no_pipes(program));
        }
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, high[0], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, high[0], STDERR_FILENO);
        posix_spawn_file_actions_adddup2(&files, high[1], orders_end);
        posix_spawn_file_actions_adddup2(&files, high[2], reports_end);
        posix_spawn_file_actions_addclosefrom_np(&files, reports_end + 1);
        posix_spawn_file_actions_addchdir_np(&files, program.folder.c_str());
        posix_spawnattr_t how;
        posix_spawnattr_init(&how);
        sigset_t usual, none;
        sigfillset(&usual);
        sigemptyset(&none);
        posix_spawnattr_setsigdefault(&how, &usual);
        posix_spawnattr_setsigmask(&how, &none);
        posix_spawnattr_setpgroup(&how, 0);
        posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        int failed =
            ::posix_spawn(&pid_, "/proc/self/exe", &files, &how, pointers(words).data(), pointers(variables).data());
        posix_spawn_file_actions_destroy(&files);
        posix_spawnattr_destroy(&how);
        for (int end : high) ::close(end);
        if (failed != 0) {
            pid_ = -1;
            return fail(not_started(program, message_of(failed), "look at the machine's memory and its processes"));
        }
        output_.close_writing();
        orders_.close_reading();
        reports_.close_writing();
        return {};
    }

    void ask_to_stop() {
        if (::write(orders_.writing(), &order_to_stop, 1) < 0) log::debug("the program has ended already");
    }

    /// All of its output, and the first thing that is reported; nothing where the keeper was killed.
    std::optional<Report> follow(OutputLines& lines) {
        ::fcntl(output_.reading(), F_SETFL, O_NONBLOCK);
        std::array<pollfd, 2> ends{{{output_.reading(), POLLIN, 0}, {reports_.reading(), POLLIN, 0}}};
        while (ends[1].revents == 0) {
            if (::poll(ends.data(), ends.size(), -1) < 0) continue;
            if (ends[0].revents != 0 && !read_output(lines)) ends[0].fd = -1;
        }
        // What it has started is gone as well, but for what belongs to another user.
        if (ends[0].fd >= 0) read_output(lines);
        lines.finish();
        Report read;
        return ::read(reports_.reading(), &read, sizeof read) == sizeof read ? std::optional(read) : std::nullopt;
    }

  private:
    static Error no_pipes(const Program& program) {
        return {.kind = ErrorKind::capacity,
                .code = "program_not_started",
                .message = fmt::format("no pipes for {}: {}", program.words.front(), message_of(errno)),
                .hint = "raise the limit of open files (ulimit -n)"};
    }

    /// What there is now; false at the end.
    bool read_output(OutputLines& lines) {
        std::array<char, 16384> buffer{};
        ssize_t got = 0;
        while ((got = ::read(output_.reading(), buffer.data(), buffer.size())) > 0)
            lines.add({buffer.data(), static_cast<size_t>(got)});
        return got < 0;
    }

    Pipe output_, orders_, reports_;
    pid_t pid_ = -1;
};

}  // namespace

std::string ProgramEnd::told() const {
    auto text = signal == 0 ? fmt::format("ended with exit code {}", code)
                            : fmt::format("was killed by signal {} ({})", signal, ::strsignal(signal));
    // Lists show one line, and the last one says most.
    if (!said.empty()) text += ": " + said.back();
    if (said.size() > 1) text += fmt::format("\n  {}", fmt::join(said, "\n  "));
    return text;
}

Result<ProgramEnd> run_program(const Program& program, std::stop_token stop) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(program.folder, ignored))
        return fail(not_started(program, fmt::format("there is no folder {}", program.folder.string()),
                                "make the folder, or name another one"));
    Kept kept;
    PN_CHECK(kept.start(program));
    OutputLines lines(program.tells_time);
    std::optional<Report> report;
    {
        std::stop_callback when_stopped(stop, [&] { kept.ask_to_stop(); });
        report = kept.follow(lines);
    }
    if (report && report->what == Report::not_started)
        return fail(not_started(program, message_of(report->value),
                                "name one that is on the PATH, or a path, and see that it may be executed"));
    bool done = report && report->what == Report::ended && report->value == 0;
    if (stop.stop_requested() && !done)
        return fail({.kind = ErrorKind::interrupted,
                     .code = "interrupted",
                     .message = fmt::format("{} was stopped", program.words.front())});
    ProgramEnd end{.said = lines.last()};
    if (!report)
        return fail({.kind = ErrorKind::internal,
                     .code = "program_lost",
                     .message = fmt::format("who watched over {} ended without a word, so nobody knows how that ended",
                                            program.words.front()),
                     .hint =
                         "was it killed (the kernel's log says so of memory), or does `env` hold a variable such as "
                         "LD_PRELOAD that Penstock itself does not start with?"});
    if (report->what == Report::killed) end.signal = report->value;
    else end.code = report->value;
    return end;
}

}  // namespace penstock::app
