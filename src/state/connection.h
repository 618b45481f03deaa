#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/error.h"
#include "state/soci.h"

namespace penstock::state {

/// Where the state is: the file that `sqlite:path` means. Other databases are answered by an error.
Result<std::filesystem::path> state_file(const std::string& url, const std::filesystem::path& directory);

/// A SQLite database of the current schema. Belongs to one thread; other processes may have it open as well.
class Connection {
  public:
    enum class Create { yes, no };

    /// Creates folder and file if wanted, brings an older schema up to date, refuses a newer one.
    static Result<std::unique_ptr<Connection>> open(const std::filesystem::path& file, Create create);

    /// Runs the work in one transaction that has the write lock from its start, so that what it reads stays true. An error
    /// or exception rolls back.
    Status write(const std::function<Status(soci::session&)>& work);
    /// Runs the work outside a transaction.
    Status read(const std::function<Status(soci::session&)>& work);

    const std::filesystem::path& file() const { return file_; }

  private:
    explicit Connection(std::filesystem::path file) : file_(std::move(file)) {}
    Status connect();
    Status migrate();
    Error error_of(const std::exception& error) const;

    std::filesystem::path file_;
    soci::session session_;
};

}  // namespace penstock::state
