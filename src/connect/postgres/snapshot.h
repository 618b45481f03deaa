#pragma once

#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "connect/postgres/session.h"

namespace penstock::postgres {

/// One moment of the database that all readers of a run share:
///
///     holder session:  BEGIN REPEATABLE READ … pg_export_snapshot() ……………………………………… end
///     reader sessions:        BEGIN; SET TRANSACTION SNAPSHOT …; COPY range; COPY range; …
///
/// Everything a run reads, from however many connections and tables, is what one statement would have seen. The holder stays
/// idle in its transaction until the run ends; its session has no idle timeout.
class Snapshot {
  public:
    /// `tables` (quoted) are locked against ALTER and TRUNCATE first: neither respects snapshots.
    static Result<std::unique_ptr<Snapshot>> take(const ConnectionOptions& options, const std::string& purpose,
                                                  const std::vector<std::string>& tables, std::stop_token stop);

    /// A snapshot that somebody else exported and still holds: from here on it lives without them. `tables` are locked inside it,
    /// and must be as they were when it was taken: what rewrote or emptied one since then cannot be read any more (retry).
    static Result<std::unique_ptr<Snapshot>> adopt(const ConnectionOptions& options, const std::string& purpose,
                                                   const std::string& exported, const std::vector<std::string>& tables,
                                                   std::stop_token stop);

    /// A session inside the snapshot; idle ones are used again. Any thread.
    Result<std::unique_ptr<Session>> borrow();
    void give_back(std::unique_ptr<Session> session);

    /// The holder itself, for small queries inside the snapshot from the runner's thread.
    Session& holder() { return *holder_; }

  private:
    Snapshot(const ConnectionOptions& options, std::string purpose, std::stop_token stop)
        : options_(options), purpose_(std::move(purpose)), stop_(std::move(stop)) {}
    Status lock(const std::vector<std::string>& tables);
    Status export_again();

    ConnectionOptions options_;
    std::string purpose_;
    std::stop_token stop_;
    std::unique_ptr<Session> holder_;
    std::string name_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Session>> idle_;
};

}  // namespace penstock::postgres
