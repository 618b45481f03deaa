#include "app/work/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace penstock::app {
namespace {

using std::chrono::steady_clock;

/// More often than this nothing is killed: what does not go then is not ours to end, such as another user's process.
constexpr int most_rounds = 200;

void say(Report report) {
    if (::write(reports_end, &report, sizeof report) < 0) ::_exit(1);  // nobody listens
}

/// Those whose parent is this process.
std::vector<pid_t> children() {
    std::vector<pid_t> found;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", failed)) {
        auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != name.npos) continue;
        std::ifstream stream(entry.path() / "stat");
        std::string line;
        std::getline(stream, line);         // nothing of one that has gone meanwhile
        auto after_name = line.rfind(')');  // the name may hold anything
        if (after_name == line.npos || after_name + 4 >= line.size()) continue;
        if (std::strtol(line.c_str() + after_name + 4, nullptr, 10) == ::getpid()) found.push_back(std::stoi(name));
    }
    return found;
}

/// Whoever's parent is killed becomes our child, and is killed in the next round.
void kill_all() {
    for (int round = 0; round < most_rounds; ++round) {
        pid_t gone = 0;
        while ((gone = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
        }
        if (gone < 0 && errno == ECHILD) return;
        for (auto pid : children()) ::kill(pid, SIGKILL);
        ::usleep(5000);
    }
}

void set_handler(int signal, void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    ::sigaction(signal, &action, nullptr);
}

constexpr int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD};

[[noreturn]] void become(char** words, pid_t keeper) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != keeper) ::_exit(127);
    ::setpgid(0, 0);
    for (int signal : ours) set_handler(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvp(words[1], words + 1);
    say({Report::not_started, errno});
    ::_exit(127);
}

/// Until the program has ended, and those of its group that it was asked to end with; its status.
int watch(pid_t program) {
    sigset_t none;
    sigemptyset(&none);
    pollfd orders{.fd = orders_end, .events = POLLIN, .revents = 0};
    steady_clock::time_point until = steady_clock::time_point::max();
    std::optional<int> ended;
    while (true) {
        int status = 0;
        pid_t gone = 0;
        while ((gone = ::waitpid(-1, &status, WNOHANG)) > 0)
            if (gone == program) ended = status;
        bool asked = until != steady_clock::time_point::max() && steady_clock::now() < until;
        if (ended && (!asked || ::kill(-program, 0) != 0)) return *ended;
        timespec second{.tv_sec = ended ? 0 : 1, .tv_nsec = ended ? 20'000'000 : 0};
        bool waits = until != steady_clock::time_point::max();
        // SIGCHLD comes only while this waits.
        int ready = ::ppoll(&orders, 1, waits ? &second : nullptr, &none);
        if (!ended && steady_clock::now() >= until) ::kill(program, SIGKILL);
        if (ready <= 0 || orders.revents == 0) continue;
        char order = 0;
        if (::read(orders_end, &order, 1) == 1 && order == order_to_stop) {
            ::kill(-program, SIGTERM);
            until = steady_clock::now() + std::chrono::seconds(patience_seconds);
        } else {
            if (!ended) ::kill(program, SIGKILL);
            until = steady_clock::now();
            orders.fd = -1;
        }
    }
}

}  // namespace

int keep(char** words) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int end : {orders_end, reports_end}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    // A signal to all of a service's processes is the run's to answer.
    for (int signal : ours) set_handler(signal, SIG_IGN);
    set_handler(SIGCHLD, [](int) {});
    // One that comes for the program before it is there waits for it.
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int signal : ours) sigaddset(&blocked, signal);
    ::sigprocmask(SIG_BLOCK, &blocked, nullptr);

    pid_t keeper = ::getpid();
    pid_t program = ::fork();
    if (program < 0) {
        say({Report::not_started, errno});
        return 1;
    }
    if (program == 0) become(words, keeper);
    ::setpgid(program, program);  // whoever of the two is first
    int status = watch(program);
    kill_all();
    if (WIFEXITED(status)) say({Report::ended, WEXITSTATUS(status)});
    else say({Report::killed, WTERMSIG(status)});
    return 0;
}

}  // namespace penstock::app
