#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "connect/postgres/session.h"

namespace penstock::postgres {

/// For tests: a PostgreSQL cluster of its own, in a temporary folder, gone with this object or this process. The newest one
/// installed, or that of the folder PENSTOCK_PG_BIN. What cannot be set up is thrown: a test without its server has failed.
class ThrowawayServer {
  public:
    explicit ThrowawayServer(const std::string& settings = "", bool tls = false) : bin_(find_bin()), tls_(tls) {
        std::string folder = (std::filesystem::temp_directory_path() / "penstock-pg-XXXXXX").string();
        if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
        base_ = folder;
        // PostgreSQL refuses to run as root.
        if (geteuid() == 0) {
            const passwd* owner = getpwnam("postgres");
            if (owner == nullptr) throw std::runtime_error("no user postgres");
            uid_ = owner->pw_uid, gid_ = owner->pw_gid;
            if (chown(base_.c_str(), uid_, gid_) != 0) throw std::runtime_error("cannot give the folder away");
        }
        run({bin_ + "/initdb", "-D", base_ + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync"});
        if (tls) make_certificate();
        std::ofstream(base_ + "/data/postgresql.conf", std::ios::app)
            << "fsync = off\nfull_page_writes = off\nwal_level = logical\nmax_prepared_transactions = 5\nmax_wal_size "
               "= 2GB\nautovacuum = off\n"
            << "unix_socket_directories = '" << base_ << "'\n"
            << (tls ? "listen_addresses = 'localhost'\nssl = on\n" : "listen_addresses = ''\n") << settings;
        start();
    }
    ~ThrowawayServer() {
        stop(SIGQUIT);
        std::error_code ignored;
        std::filesystem::remove_all(base_, ignored);
    }
    ThrowawayServer(const ThrowawayServer&) = delete;
    ThrowawayServer& operator=(const ThrowawayServer&) = delete;

    void start() {
        if (port_ == 0) port_ = free_port();
        server_ = spawn({bin_ + "/postgres", "-D", base_ + "/data", "-p", std::to_string(port_)});
        for (int tries = 0; tries < 600; ++tries) {
            if (Session::connect(options(), "test", {})) return;
            if (waitpid(server_, nullptr, WNOHANG) == server_) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        throw std::runtime_error("PostgreSQL did not start:\n" + log());
    }

    /// SIGINT is a fast shutdown, SIGQUIT an immediate one. shut() only asks for it.
    void shut(int signal) { kill(server_, signal); }
    void stop(int signal) {
        if (server_ <= 0) return;
        shut(signal);
        waitpid(server_, nullptr, 0);
        server_ = 0;
    }
    void restart() {
        stop(SIGINT);
        start();
    }

    /// As after a failover or a recovery: the same data on a new timeline.
    void recover() {
        stop(SIGINT);
        std::ofstream(base_ + "/data/postgresql.conf", std::ios::app)
            << "restore_command = 'false'\nhot_standby = off\n";
        std::ofstream(base_ + "/data/recovery.signal").close();
        start();
    }

    /// Of a connection as a user who is trusted; `more` are parameters of libpq.
    ConnectionOptions options(const std::string& database = "postgres", const std::string& user = "postgres",
                              const std::string& more = "") const {
        ConnectionOptions options;
        options.name = "throwaway";
        auto host = tls_ ? "localhost sslmode=verify-full sslrootcert=" + base_ + "/server.crt" : base_;
        options.url = Secret(fmt::format("host={} port={} user={} dbname={} {}", host, port_, user, database, more));
        return options;
    }

    std::string log() const {
        std::ifstream file(base_ + "/log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

  private:
    static std::string find_bin() {
        if (const char* named = std::getenv("PENSTOCK_PG_BIN")) return named;
        int newest = 0;
        std::error_code missing;
        for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", missing))
            if (std::filesystem::exists(version.path() / "bin/initdb"))
                newest = std::max(newest, std::atoi(version.path().filename().c_str()));
        if (newest == 0)
            throw std::runtime_error(
                "no PostgreSQL server programs found: install postgresql, or name their folder in PENSTOCK_PG_BIN");
        return fmt::format("/usr/lib/postgresql/{}/bin", newest);
    }

    static int free_port() {
        int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        bool bound = bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0;
        close(probe);
        if (!bound) throw std::runtime_error("no free port");
        return ntohs(address.sin_port);
    }

    pid_t spawn(const std::vector<std::string>& command) const {
        std::vector<char*> arguments;
        for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
        arguments.push_back(nullptr);
        auto log = base_ + "/log";
        pid_t child = fork();
        if (child != 0) return child;
        int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
        dup2(out, 1), dup2(out, 2);
        bool ready = chdir("/") == 0 && (uid_ == 0 || (setgid(gid_) == 0 && setuid(uid_) == 0));
        prctl(PR_SET_PDEATHSIG, SIGQUIT);  // a test that is killed leaves no server behind
        if (ready) execv(arguments[0], arguments.data());
        _exit(127);
    }

    void run(const std::vector<std::string>& command) const {
        int state = 0;
        waitpid(spawn(command), &state, 0);
        if (state != 0) throw std::runtime_error(command[0] + " failed:\n" + log());
    }

    void make_certificate() const {
        auto key = base_ + "/data/server.key";
        run({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
             base_ + "/data/server.crt"});
        chmod(key.c_str(), 0600);
        std::filesystem::copy_file(base_ + "/data/server.crt", base_ + "/server.crt");
    }

    std::string bin_;
    bool tls_;
    std::string base_;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
    int port_ = 0;
    pid_t server_ = 0;
};

}  // namespace penstock::postgres
