#include "app/schedule/children.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "app/own_process.h"
#include "app/schedule/backup_jobs.h"
#include "app/schedule/verify_jobs.h"
#include "base/log.h"

namespace penstock::app {
namespace {

std::vector<std::string> command_line(const Session& session, const schedule::Interval& interval,
                                      const std::string& token) {
    auto words = own_words(session, session.log_format);
    auto command = backup_command(interval.pipeline);
    if (command.empty()) command = verify_command(interval.pipeline);
    if (command.empty()) command = {"run", interval.pipeline, "--drain"};
    words.insert(words.end(), command.begin(), command.end());
    words.insert(words.end(), {"--interval", token});
    return words;
}

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
    std::lock_guard lock(mutex_);
    PN_TRY(auto pid, start_own(command_line(session_, interval, token)));
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
