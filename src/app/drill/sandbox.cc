#include "app/drill/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>

#include "app/drill/leftover_server.h"
#include "app/drill/sandbox_command.h"
#include "backup/restored_folder.h"
#include "base/digest.h"
#include "base/log.h"
#include "io/file_error.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr size_t longest_folder = 80;  // a socket's path has room for 107 bytes
constexpr std::chrono::minutes patience_at_end{10};

Error not_ours(const fs::path& folder) {
    return {
        .kind = ErrorKind::refused,
        .code = "sandbox_not_ours",
        .message = fmt::format("{} is there, and it is not a folder that only our account may use", folder.string()),
        .where = folder.string(),
        .hint = "find out whose it is and remove it, or set `drill: {folder: …}` to a folder of your own"};
}

/// Made, or found as we would have made it: in a folder that everybody may write to, somebody else may have been here before.
Status make_own(const fs::path& folder, const ServerAccount& account) {
    if (::mkdir(folder.c_str(), 0700) == 0) {
        if (account.other && ::chown(folder.c_str(), account.user, account.group) != 0)
            return fail(io::file_error("give away", folder, errno));
        return {};
    }
    if (errno != EEXIST) return fail(io::file_error("make", folder, errno));
    struct stat found{};
    if (::lstat(folder.c_str(), &found) != 0) return fail(io::file_error("look at", folder, errno));
    bool ours = S_ISDIR(found.st_mode) && found.st_uid == account.user && (found.st_mode & 077) == 0;
    return ours ? Status() : Status(fail(not_ours(folder)));
}

std::string quoted(const std::string& value) {
    std::string out = "'";
    for (char c : value) out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return out + "'";
}

}  // namespace

Result<std::unique_ptr<Sandbox>> Sandbox::claim(const fs::path& above, const backup::Catalog& catalog) {
    PN_TRY(auto account, ServerAccount::choose());
    std::unique_ptr<Sandbox> made(new Sandbox(account));
    auto name = "penstock-drill-" + sha256_hex(catalog.url("")).substr(0, 12);
    made->folder_ = fs::absolute(above).lexically_normal() / name;
    if (made->folder_.native().size() > longest_folder)
        return fail({.kind = ErrorKind::configuration,
                     .code = "path_too_long",
                     .message = fmt::format("{} is too long for the socket of a server", made->folder_.string()),
                     .where = above.string(),
                     .hint = "set `drill: {folder: …}` to a shorter one"});
    PN_CHECK(make_own(made->folder_, account));
    int lock = ::open(made->folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0) return fail(io::file_error("open", made->folder_, errno));
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
        ::close(lock);
        made->folder_.clear();
        return fail({.kind = ErrorKind::conflict,
                     .code = "drill_running",
                     .message = "another drill of this backup is under way",
                     .where = above / name,
                     .hint = "wait until it has ended"});
    }
    made->lock_ = lock;
    struct stat locked{}, there{};
    bool same =
        ::fstat(lock, &locked) == 0 && ::lstat(made->folder_.c_str(), &there) == 0 && locked.st_ino == there.st_ino;
    if (!same) {  // the drill before has removed it in this moment
        made->keep();
        return claim(above, catalog);
    }
    PN_CHECK(made->remove_leftovers());
    return made;
}

Status Sandbox::remove_leftovers() const {
    PN_CHECK(stop_leftover_server(data()));
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder_, failed)) {
        log::info("{} is removed, which an earlier drill left", entry.path().string());
        if (fs::remove_all(entry.path(), failed); failed)
            return fail(io::file_error("remove", entry.path(), failed.value()));
    }
    return {};
}

Sandbox::~Sandbox() {
    if (auto stopped = stop(); !stopped) log::error("{}", stopped.error().message);
    feed_.reset();
    std::error_code failed;
    if (!folder_.empty() && lock_ >= 0 && !keeps_) fs::remove_all(folder_, failed);
    if (failed) log::error("{} could not be removed: {}", folder_.string(), failed.message());
    if (lock_ >= 0) ::close(lock_);
}

Result<backup::RestorePlan> Sandbox::restore(const backup::Catalog& catalog, backup::RecoveryPlan wanted,
                                             unsigned threads, const std::stop_token& stop) {
    PN_TRY(auto plan, backup::plan_restore(std::move(wanted), data()));
    PN_TRY(feed_, WalFeed::begin(catalog, folder_, data(), account_));
    plan.restore_command = feed_->command();
    PN_CHECK(backup::restore(catalog, plan, threads, stop));
    return plan;
}

Status Sandbox::launch(const backup::RestorePlan& plan, const SandboxServer& server, bool readers) {
    int major = plan.record.server_version / 10000;
    PN_TRY(programs_, find_server_programs(major, server.programs));
    backup::FolderWriter::Owner owner{.user = account_.user, .group = account_.group};
    PN_CHECK(backup::write_small_file(folder_ / "hba.conf", "local all all trust\n", owner));
    PN_CHECK(backup::write_small_file(folder_ / "ident.conf", "", owner));
    isolated_ = can_isolate();
    open_since_.reset();
    PN_TRY(server_, start_program({.command = sandbox_command(programs_, folder_, major, server.libraries, readers),
                                   .log = folder_ / "log",
                                   .bare = true,
                                   .isolated = isolated_},
                                  account_));
    return {};
}

Status Sandbox::start(const backup::RestorePlan& plan, const SandboxServer& server, const std::stop_token& stop) {
    PN_CHECK(launch(plan, server, false));
    PN_CHECK(wait_until_ready(server, "SELECT NOT pg_catalog.pg_is_in_recovery()", stop));
    feed_.reset();  // whatever runs in the server from now on gets nothing from us
    return {};
}

Status Sandbox::start_paused(const backup::RestorePlan& plan, const SandboxServer& server, const Pause& pause,
                             const std::stop_token& stop) {
    // In the file, and behind what the plan says of targets: on the command line the two would exclude each other.
    auto file = data() / "postgresql.auto.conf";
    auto before = backup::read_small_file(file);
    backup::FolderWriter::Owner owner{.user = account_.user, .group = account_.group};
    // By the last record: a place at the very end of the log has none behind it, by which recovery would know that it is there.
    PN_CHECK(backup::write_small_file(file,
                                      before + fmt::format("recovery_target_lsn = '{}'\nrecovery_target_inclusive = "
                                                           "'on'\nrecovery_target_action = 'pause'\n",
                                                           pause.last.text()),
                                      owner));
    auto started = launch(plan, server, true);
    if (started)
        started = wait_until_ready(server,
                                   plan.record.server_version >= 140000
                                       ? "SELECT NOT pg_catalog.pg_is_in_recovery() OR "
                                         "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'"
                                       : "SELECT NOT pg_catalog.pg_is_in_recovery() OR "
                                         "pg_catalog.pg_is_wal_replay_paused()",
                                   stop);
    PN_CHECK(backup::write_small_file(file, before, owner));  // read once, when it starts
    PN_CHECK(started);
    return check_place(pause, stop);
}

Status Sandbox::check_place(const Pause& pause, const std::stop_token& stop) const {
    PN_TRY(auto session, connect("template1", stop));
    PN_TRY(auto rows, session->query("SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_replay_lsn()"));
    auto at = postgres::Lsn::parse(rows.text(0, 1)).value_or(postgres::Lsn());
    if (rows.truth(0, 0) && at > pause.last && at <= pause.place) return {};
    return fail({.kind = ErrorKind::check_failed,
                 .code = rows.truth(0, 0) ? "recovery_not_paused" : "recovery_ended",
                 .message = fmt::format("recovery was to pause at {} and is at {}{}", pause.place.text(),
                                        rows.text(0, 1), rows.truth(0, 0) ? "" : ", where it ended"),
                 .where = data().string(),
                 .hint = "`penstock backup drill --keep` leaves its folder, with all that it said in `log`"});
}

bool Sandbox::has_ended() {
    if (server_ > 0 && ::waitpid(server_, nullptr, WNOHANG) == server_) server_ = -1;
    return server_ <= 0;
}

Error Sandbox::did_not_start() const {
    if (auto why = feed_ ? feed_->failure() : std::nullopt) return std::move(*why);
    std::ifstream in(folder_ / "log");
    std::string said;
    for (std::string line; std::getline(in, line);)
        if (line.find("FATAL: ") != line.npos || line.find("PANIC: ") != line.npos) said = line;
    if (said.empty()) said = last_line(folder_ / "log");
    return {.kind = ErrorKind::check_failed,
            .code = "restored_server_failed",
            .message = fmt::format("the restored server did not start or did not end its recovery: {}", said),
            .where = data().string(),
            .hint = "`penstock backup drill --keep` leaves its folder, with all that it said in `log`"};
}

/// Whether the server has said for a while that it lets people in.
bool Sandbox::stays_closed() {
    constexpr std::chrono::seconds look_every{1}, patience{60};
    auto at = steady_clock::now();
    if (at - looked_at_ < look_every) return false;
    looked_at_ = at;
    if (!open_since_) {
        std::ifstream in(folder_ / "log");
        for (std::string line; !open_since_ && std::getline(in, line);)
            if (line.find("is ready to accept connections") != line.npos) open_since_ = at;
    }
    return open_since_ && at - *open_since_ > patience;
}

/// Recovery may take hours, and for minutes nobody is let in; only the end of the server ends the wait.
Status Sandbox::wait_until_ready(const SandboxServer& server, const std::string& ready, const std::stop_token& stop) {
    constexpr std::chrono::milliseconds pause{20};
    size_t user = 0;
    std::unique_ptr<postgres::Session> session;
    while (true) {
        if (stop.stop_requested())
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = "stopped while the restored server recovered"});
        if (has_ended()) return fail(did_not_start());
        if (!session) {
            postgres::ConnectionOptions options;
            options.url = Secret(address("template1", server.users.at(user)));
            options.name = "drill";
            auto made = postgres::Session::connect(options, "penstock drill", stop);
            if (made) session = std::move(*made);
            else if (stays_closed()) return fail(std::move(made.error()));
            else if (made.error().kind == ErrorKind::refused && made.error().code != "connection_refused" &&
                     ++user == server.users.size())
                return fail(std::move(made.error()));
        }
        if (session) {
            auto is_ready = session->query(ready);
            if (!is_ready) session.reset();
            else if (is_ready->truth(0, 0)) break;
        }
        std::this_thread::sleep_for(pause);
    }
    PN_TRY(auto found, session->query("SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin ORDER BY "
                                      "oid LIMIT 1"));
    if (found.count() == 0)
        return fail({.kind = ErrorKind::refused,
                     .code = "no_superuser",
                     .message = "the restored server has no superuser who may log in, so nobody can check its pages",
                     .hint = "let one log in: ALTER ROLE … LOGIN"});
    superuser_ = found.text(0, 0);
    return {};
}

std::string Sandbox::address(const std::string& database, const std::string& user) const {
    // Whatever the environment says, this is no other server: PGHOSTADDR counts over `host`.
    return fmt::format(
        "host={} hostaddr='' port=5432 user={} dbname={} sslmode=disable options='' "
        "target_session_attrs=any channel_binding=disable",
        quoted(folder_.string()), quoted(user), quoted(database));
}

Result<std::unique_ptr<postgres::Session>> Sandbox::connect(const std::string& database,
                                                            const std::stop_token& stop) const {
    postgres::ConnectionOptions options;
    options.url = Secret(address(database));
    options.name = "drill";
    return postgres::Session::connect(options, "penstock drill", stop);
}

Status Sandbox::stop() {
    if (has_ended()) return {};
    ::kill(server_, SIGINT);
    auto until = steady_clock::now() + patience_at_end;
    while (!has_ended() && steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (server_ <= 0) return {};
    ::kill(server_, SIGQUIT);
    wait_for_end(std::exchange(server_, -1));
    return fail({.kind = ErrorKind::check_failed,
                 .code = "restored_server_did_not_stop",
                 .message = "the restored server did not stop in ten minutes and was stopped at once",
                 .where = data().string()});
}

Result<std::optional<int>> Sandbox::run(const std::string& program, const std::vector<std::string>& arguments,
                                        const fs::path& log, const std::stop_token& stop) const {
    if (!is_program(programs_ / program)) return std::optional<int>();
    std::vector<std::string> command = {programs_ / program};
    command.insert(command.end(), arguments.begin(), arguments.end());
    PN_TRY(pid_t child, start_program({.command = std::move(command), .log = log, .bare = true}, account_));
    int status = 0;
    for (bool told = false; ::waitpid(child, &status, WNOHANG) != child;) {
        if (stop.stop_requested() && !std::exchange(told, true)) ::kill(child, SIGTERM);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace penstock::app
