#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "app/drill/wal_feed.h"
#include "app/server_process.h"
#include "backup/recovery.h"
#include "backup/restore.h"
#include "connect/postgres/session.h"

namespace penstock::app {

/// How the server of a sandbox is started.
struct SandboxServer {
    std::filesystem::path programs;      ///< with `postgres` in it; empty: where the system has them
    std::vector<std::string> libraries;  ///< shared_preload_libraries
    std::vector<std::string> users;      ///< that may be in the restored server, to ask who its superuser is
};

/// A folder in which a backup is restored and started, and that goes with this object, its server first. It is the only one of its
/// backup: what a killed drill left in it is removed before. The server listens on a socket in the folder and nowhere else; it
/// archives nothing, follows nobody, applies no subscription, loads no library that was not asked for, and has no network at
/// all where the kernel lets it (isolated()). It dies with this process. One thread.
class Sandbox {
  public:
    /// Of the backup in this place. Codes: `drill_running`, `sandbox_not_ours`.
    static Result<std::unique_ptr<Sandbox>> claim(const std::filesystem::path& above, const backup::Catalog& catalog);
    ~Sandbox();
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;

    const std::filesystem::path& folder() const { return folder_; }
    std::filesystem::path data() const { return folder_ / "data"; }
    /// The folder stays; its server is stopped all the same.
    void keep() { keeps_ = true; }

    /// Restores, but does not start.
    Result<backup::RestorePlan> restore(const backup::Catalog& catalog, backup::RecoveryPlan wanted, unsigned threads,
                                        const std::stop_token& stop);
    /// Starts the server and waits until recovery has ended and a query was answered.
    Status start(const backup::RestorePlan& plan, const SandboxServer& server, const std::stop_token& stop);
    /// Where recovery pauses: behind the record that begins at `last`, which is the last one before `place`.
    struct Pause {
        postgres::Lsn last, place;
    };
    /// Starts the server and waits until recovery has come to this place, where it pauses and readers are let in; stop() it, and
    /// recovery can be gone on with. For plans whose target is the latest state.
    Status start_paused(const backup::RestorePlan& plan, const SandboxServer& server, const Pause& pause,
                        const std::stop_token& stop);
    /// An orderly end: everything is on disk.
    Status stop();

    /// Runs a program of the server to its end: exit code, and what it said in `log`. Nothing where there is no such program.
    Result<std::optional<int>> run(const std::string& program, const std::vector<std::string>& arguments,
                                   const std::filesystem::path& log, const std::stop_token& stop) const;

    /// As the restored server's superuser. What the session may change: read only, until told otherwise.
    Result<std::unique_ptr<postgres::Session>> connect(const std::string& database, const std::stop_token& stop) const;
    /// For libpq.
    std::string address(const std::string& database) const { return address(database, superuser_); }
    bool isolated() const { return isolated_; }

  private:
    explicit Sandbox(ServerAccount account) : account_(account) {}
    std::string address(const std::string& database, const std::string& user) const;
    Status remove_leftovers() const;
    Status launch(const backup::RestorePlan& plan, const SandboxServer& server, bool readers);
    /// For a session that answers `ready` with true, and who the superuser is.
    Status wait_until_ready(const SandboxServer& server, const std::string& ready, const std::stop_token& stop);
    Status check_place(const Pause& pause, const std::stop_token& stop) const;
    Error did_not_start() const;
    bool stays_closed();
    bool has_ended();

    ServerAccount account_;
    std::filesystem::path folder_, programs_;
    int lock_ = -1;
    bool keeps_ = false, isolated_ = false;
    std::unique_ptr<WalFeed> feed_;
    pid_t server_ = -1;
    std::chrono::steady_clock::time_point looked_at_{};
    std::optional<std::chrono::steady_clock::time_point> open_since_;
    std::string superuser_;
};

}  // namespace penstock::app
