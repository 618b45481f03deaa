#include "app/server_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>

#include "app/interruption.h"

namespace penstock::app {
namespace {

/// In a child: two calls and no memory, for another thread may have held the allocator's lock at the fork.
bool write_whole(const char* path, const char* text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    auto size = static_cast<ssize_t>(std::strlen(text));
    bool written = file >= 0 && write(file, text, static_cast<size_t>(size)) == size;
    if (file >= 0) close(file);
    return written;
}

/// The lines that map an account to itself in a user namespace (user_namespaces(7)).
struct Identity {
    char user[64], group[64];
    Identity() {
        *fmt::format_to_n(user, sizeof user - 1, "{} {} 1", geteuid(), geteuid()).out = '\0';
        *fmt::format_to_n(group, sizeof group - 1, "{} {} 1", getegid(), getegid()).out = '\0';
    }
};

/// In a child: sockets of the file system stay, all others reach nobody. Only root may do so without a user namespace.
bool leave_network(const Identity& identity) {
    if (geteuid() == 0) return unshare(CLONE_NEWNET) == 0;
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_whole("/proc/self/setgroups", "deny") &&
           write_whole("/proc/self/uid_map", identity.user) && write_whole("/proc/self/gid_map", identity.group);
}

}  // namespace

Result<ServerAccount> ServerAccount::choose() {
    if (geteuid() != 0) return ServerAccount{};
    for (const char* name : {"postgres", "nobody"})
        if (const passwd* found = getpwnam(name); found != nullptr)
            return ServerAccount{.user = found->pw_uid, .group = found->pw_gid, .other = true};
    return fail({.kind = ErrorKind::capacity,
                 .code = "no_account",
                 .message = "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody'",
                 .hint = "run this as another user"});
}

bool ServerAccount::become() const {
    return !other || (setgroups(0, nullptr) == 0 && setgid(group) == 0 && setuid(user) == 0);
}

Result<pid_t> start_program(const ServerProgram& program, const ServerAccount& account) {
    std::vector<char*> arguments;
    for (const auto& word : program.command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", language[] = "LC_ALL=C", home[] = "HOME=/nonexistent";
    char* bare[] = {path, language, home, nullptr};
    Identity identity;
    int output = open(program.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        restore_signals();
        int nothing = open("/dev/null", O_RDONLY);
        dup2(nothing, STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        // The signal after the change of account, which would undo it.
        bool ready = (!program.isolated || leave_network(identity)) && account.become() && chdir("/") == 0 &&
                     prctl(PR_SET_PDEATHSIG, SIGQUIT) == 0 && getppid() == parent;
        if (ready) execve(arguments.front(), arguments.data(), program.bare ? bare : environ);
        _exit(127);
    }
    if (output >= 0) close(output);
    if (child > 0) return child;
    return fail({.kind = ErrorKind::capacity,
                 .code = "no_process",
                 .message = fmt::format("{} could not be started: {}", program.command.front(), std::strerror(errno)),
                 .hint = "look at the limits of this machine"});
}

int wait_for_end(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool can_isolate() {
    Identity identity;
    pid_t child = fork();
    if (child == 0) _exit(leave_network(identity) ? 0 : 1);
    return child > 0 && wait_for_end(child) == 0;
}

std::string last_line(const std::filesystem::path& log) {
    std::ifstream in(log);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    while (text.ends_with('\n')) text.pop_back();
    auto line = text.rfind('\n');
    return line == text.npos ? text : text.substr(line + 1);
}

}  // namespace penstock::app
