#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "backup/catalog.h"
#include "base/error.h"

namespace penstock::backup {

/// Packs the bytes of a backup's archives into parts and puts them, several at once: one thread adds, `threads` others pack and
/// put. Holds twice as many parts as it has threads, and one more, at most; who adds waits meanwhile.
class Upload {
  public:
    /// Both outlive this.
    Upload(const Catalog& catalog, const BackupRecord& record, unsigned threads);
    ~Upload();
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    /// What is added from now on is of this archive.
    Status begin(std::string archive, std::string location = {});
    /// The first error of any thread comes back here.
    Status add(std::string_view bytes);
    /// Everything was put: the archives, in order.
    Result<std::vector<ArchiveRecord>> finish();

  private:
    struct Part {
        size_t archive;
        std::string name;
        std::string raw;
    };

    Status close_part();
    Status close_archive();
    void work(const std::stop_token& stop);
    Result<uint64_t> put(const Part& part);

    const Catalog& catalog_;
    const BackupRecord& record_;
    std::vector<ArchiveRecord> archives_;  ///< the last is being added to
    std::string raw_;

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Part> waiting_;
    size_t busy_ = 0;
    std::optional<Error> failed_;
    std::vector<std::jthread> threads_;
};

}  // namespace penstock::backup
