#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backup/catalog.h"
#include "base/error.h"

namespace penstock::backup {

/// The parts of an archive in order, each read whole, opened and unpacked ahead by some threads. Holds as many parts as it has
/// threads, and two more, at most. One thread asks.
class Download {
  public:
    /// Both outlive this.
    Download(const Catalog& catalog, const BackupRecord& record, const ArchiveRecord& archive, unsigned threads);
    ~Download();
    Download(const Download&) = delete;
    Download& operator=(const Download&) = delete;

    /// The next part's bytes; nothing at the end. An error is of this part alone, and the one behind it may be asked for: codes
    /// `no_such_object` and `backup_damaged`, the object named.
    Result<std::optional<std::string>> next();
    /// How many were asked for.
    uint64_t asked() const { return asked_; }

  private:
    void work(const std::stop_token& stop);
    Result<std::string> read(uint64_t number);

    const Catalog& catalog_;
    const BackupRecord& record_;
    const ArchiveRecord& archive_;
    const uint64_t at_once_;  ///< threads
    uint64_t asked_ = 0;

    std::mutex mutex_;
    std::condition_variable_any changed_;
    uint64_t taken_ = 0;  ///< the next that a thread reads
    std::map<uint64_t, Result<std::string>> ready_;
    std::vector<std::jthread> threads_;
};

/// A whole archive that fits memory.
Result<std::string> download_whole(const Catalog& catalog, const BackupRecord& record, const std::string& archive);

}  // namespace penstock::backup
