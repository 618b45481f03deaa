#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "app/server_process.h"
#include "base/error.h"

namespace penstock::app {

/// A PostgreSQL server of its own for the demonstration: in a temporary folder, reached through a socket in there only, run
/// by another account when this process is root (PostgreSQL refuses root). It is stopped and its folder removed when this
/// object goes, and the kernel stops it when this process dies in any other way.
class ThrowawayPostgres {
  public:
    static Result<std::unique_ptr<ThrowawayPostgres>> start(std::stop_token stop);
    ~ThrowawayPostgres();
    ThrowawayPostgres(const ThrowawayPostgres&) = delete;
    ThrowawayPostgres& operator=(const ThrowawayPostgres&) = delete;

    /// As libpq takes it; no password is needed.
    std::string connection_string() const;
    /// "PostgreSQL 15.20"
    Result<std::string> version();
    /// Statements without results.
    Status execute(const std::string& sql);
    /// The first row, as text.
    Result<std::vector<std::string>> first_row(const std::string& sql);

  private:
    ThrowawayPostgres() = default;

    Status make_folder(const ServerAccount& account);
    Status make_cluster(const std::filesystem::path& programs, const ServerAccount& account);
    Status start_server(const std::filesystem::path& programs, const ServerAccount& account, std::stop_token stop);

    std::filesystem::path folder_;
    pid_t server_ = -1;
};

}  // namespace penstock::app
