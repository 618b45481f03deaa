#include "app/throwaway_postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

Error demo_error(std::string code, std::string message, std::string hint) {
    return {
        .kind = ErrorKind::capacity, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

bool has_server(const fs::path& folder) {
    return access((folder / "initdb").c_str(), X_OK) == 0 && access((folder / "postgres").c_str(), X_OK) == 0;
}

/// Debian keeps server programs out of PATH, a folder for each version; the newest is taken.
Result<fs::path> find_programs() {
    std::vector<std::pair<int, fs::path>> versions;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored))
        if (has_server(entry.path() / "bin"))
            versions.emplace_back(std::atoi(entry.path().filename().c_str()), entry.path() / "bin");
    if (!versions.empty()) return std::ranges::max(versions).second;
    const char* path = std::getenv("PATH");
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');)
        if (has_server(folder)) return fs::path(folder);
    return fail(demo_error(
        "no_postgres_server",
        "the demonstration needs the programs of a PostgreSQL server (initdb, postgres), and none was found in "
        "/usr/lib/postgresql or PATH",
        "install them (Debian: apt-get install postgresql), or go on with your own database: penstock init --from "
        "postgres://…"));
}

/// A session that lives as long as one statement; the server is a few bytes of socket away.
struct Answer {
    PGconn* connection;
    PGresult* result;
    ~Answer() {
        PQclear(result);
        PQfinish(connection);
    }
};

Result<std::unique_ptr<Answer>> ask(const std::string& where, const std::string& sql) {
    PGconn* connection = PQconnectdb(where.c_str());
    auto answer = std::make_unique<Answer>(
        connection, PQstatus(connection) == CONNECTION_OK ? PQexec(connection, sql.c_str()) : nullptr);
    auto status = PQresultStatus(answer->result);
    if (answer->result != nullptr && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)) return answer;
    return fail(demo_error("demo_database",
                           fmt::format("the demonstration's own PostgreSQL failed: {}", PQerrorMessage(connection)),
                           "run it again; if it stays, please report it"));
}

}  // namespace

Result<std::unique_ptr<ThrowawayPostgres>> ThrowawayPostgres::start(std::stop_token stop) {
    PN_TRY(auto programs, find_programs());
    PN_TRY(auto account, ServerAccount::choose());
    std::unique_ptr<ThrowawayPostgres> made(new ThrowawayPostgres);
    PN_CHECK(made->make_folder(account));
    PN_CHECK(made->make_cluster(programs, account));
    PN_CHECK(made->start_server(programs, account, stop));
    return made;
}

Status ThrowawayPostgres::make_folder(const ServerAccount& account) {
    // A socket's path has room for 107 bytes, and another account must be able to get there.
    fs::path above = account.other ? fs::path("/tmp") : fs::temp_directory_path();
    if (above.native().size() > 70) above = "/tmp";
    std::string pattern = above / "penstock-demo-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr)
        return fail(demo_error("no_folder",
                               fmt::format("no folder can be made in {}: {}", above.string(), std::strerror(errno)),
                               "set TMPDIR to a folder that can be written to"));
    folder_ = pattern;
    if (account.other && chown(folder_.c_str(), account.user, account.group) != 0)
        return fail(
            demo_error("no_folder",
                       fmt::format("{} cannot be given to another account: {}", folder_.string(), std::strerror(errno)),
                       "run the demonstration as another user"));
    return {};
}

Status ThrowawayPostgres::make_cluster(const fs::path& programs, const ServerAccount& account) {
    PN_TRY(pid_t child, start_program({.command = {programs / "initdb", "-D", folder_ / "data", "-U", "shop", "-A",
                                                   "trust", "-E", "UTF8", "--locale=C", "--no-sync"},
                                       .log = folder_ / "log"},
                                      account));
    if (wait_for_end(child) == 0) return {};
    return fail(demo_error("initdb_failed", fmt::format("initdb failed: {}", last_line(folder_ / "log")),
                           "look at free disk space and shared memory"));
}

Status ThrowawayPostgres::start_server(const fs::path& programs, const ServerAccount& account, std::stop_token stop) {
    std::vector<std::string> command = {programs / "postgres", "-D", folder_ / "data"};
    for (const std::string& setting :
         {std::string("listen_addresses="), "unix_socket_directories=" + folder_.string(), std::string("fsync=off"),
          std::string("wal_level=logical"), std::string("shared_buffers=32MB")}) {
        command.push_back("-c");
        command.push_back(setting);
    }
    PN_TRY(server_, start_program({.command = command, .log = folder_ / "log"}, account));
    for (int i = 0; i < 600 && !stop.stop_requested(); ++i) {
        if (PQping((connection_string() + " connect_timeout=2").c_str()) == PQPING_OK) return {};
        if (waitpid(server_, nullptr, WNOHANG) == server_) {
            server_ = -1;
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return fail(demo_error("no_server", fmt::format("PostgreSQL did not start: {}", last_line(folder_ / "log")),
                           "look at free disk space and shared memory"));
}

ThrowawayPostgres::~ThrowawayPostgres() {
    if (server_ > 0) {
        kill(server_, SIGINT);  // fast shutdown
        for (int i = 0; i < 200 && server_ > 0; ++i) {
            if (waitpid(server_, nullptr, WNOHANG) == server_) server_ = -1;
            else std::this_thread::sleep_for(std::chrono::milliseconds(25));
        }
        if (server_ > 0) {
            kill(server_, SIGQUIT);
            wait_for_end(server_);
        }
    }
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

std::string ThrowawayPostgres::connection_string() const {
    return fmt::format("host={} user=shop dbname=postgres", folder_.string());
}

Result<std::string> ThrowawayPostgres::version() {
    PN_TRY(auto row, first_row("SHOW server_version"));
    return "PostgreSQL " + row.front().substr(0, row.front().find(' '));
}

Status ThrowawayPostgres::execute(const std::string& sql) {
    PN_CHECK(ask(connection_string(), sql));
    return {};
}

Result<std::vector<std::string>> ThrowawayPostgres::first_row(const std::string& sql) {
    PN_TRY(auto answer, ask(connection_string(), sql));
    std::vector<std::string> row;
    for (int column = 0; PQntuples(answer->result) > 0 && column < PQnfields(answer->result); ++column)
        row.emplace_back(PQgetvalue(answer->result, 0, column));
    return row;
}

}  // namespace penstock::app
