#include "app/interruption.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>

#include "base/log.h"

namespace penstock::app {
namespace {

sigset_t watched_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

Interruption::Interruption() {
    sigset_t set = watched_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write
    signals_ = signalfd(-1, &set, SFD_CLOEXEC);
    ended_ = eventfd(0, EFD_CLOEXEC);
    watcher_ = std::thread([this] { watch(); });
}

Interruption::~Interruption() {
    uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(ended_, &one, sizeof one);
    watcher_.join();
    ::close(signals_);
    ::close(ended_);
}

void Interruption::watch() {
    std::array<pollfd, 2> events = {
        {{.fd = signals_, .events = POLLIN, .revents = 0}, {.fd = ended_, .events = POLLIN, .revents = 0}}};
    while (true) {
        if (poll(events.data(), events.size(), -1) < 0) continue;
        if (events[1].revents != 0) return;
        signalfd_siginfo received{};
        if (::read(signals_, &received, sizeof received) != sizeof received) continue;
        int number = static_cast<int>(received.ssi_signo);
        if (stop_.stop_requested()) {
            std::signal(number, SIG_DFL);
            sigset_t set = watched_signals();
            pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
            std::raise(number);
        }
        log::warning("stopping; what is not committed will be taken back (once more to stop at once)");
        stop_.request_stop();
    }
}

void restore_signals() {
    std::signal(SIGPIPE, SIG_DFL);
    sigset_t set = watched_signals();
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace penstock::app
