#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "app/server_process.h"
#include "backup/catalog.h"

namespace penstock::app {

/// Gives a server in recovery its log out of the store, by two pipes in a folder: `restore_command` writes the file's name into one
/// and waits for an answer out of the other. So the server needs neither network nor key, and its account cannot read the
/// configuration. One server.
class WalFeed {
  public:
    /// `data` is the server's folder, where files are put.
    static Result<std::unique_ptr<WalFeed>> begin(const backup::Catalog& catalog, const std::filesystem::path& folder,
                                                  const std::filesystem::path& data, const ServerAccount& account);
    ~WalFeed();
    WalFeed(const WalFeed&) = delete;
    WalFeed& operator=(const WalFeed&) = delete;

    /// For `restore_command`.
    std::string command() const;
    /// Why the server did not get what it asked for; nothing where it always did, or the log ended.
    std::optional<Error> failure() const;

  private:
    WalFeed(const backup::Catalog& catalog, std::filesystem::path folder, std::filesystem::path data,
            const ServerAccount& account)
        : catalog_(catalog),
          folder_(std::move(folder)),
          data_(std::move(data)),
          private_(folder_.string() + ".log"),
          account_(account) {}

    Result<int> make_pipe(const char* name) const;
    void keep_answering(const std::stop_token& stop);
    int answer(const std::string& file);

    const backup::Catalog& catalog_;
    std::filesystem::path folder_, data_;
    std::filesystem::path private_;  ///< where files are made, out of reach of the server's account
    ServerAccount account_;
    int asked_ = -1, answered_ = -1;
    mutable std::mutex mutex_;
    std::optional<Error> failure_;
    std::jthread answering_;
};

}  // namespace penstock::app
