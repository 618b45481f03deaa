#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace penstock::flow {

/// A row the target cannot hold, with all that is needed to understand it and to try it again.
struct Reject {
    std::string table;            ///< source table
    std::string route = {};
    std::string source_position;  ///< where in the source: ctid range, LSN, offset
    std::string key;              ///< JSON object of the key columns, or ""
    std::string column;
    std::string code;             ///< stable snake_case: numeric_overflow, special_number, invalid_utf8 …
    std::string reason;           ///< one sentence that names the value's own measure
    std::string payload;          ///< the row as a JSON object, PostgreSQL text forms, lossless
    TimePoint received_at{};
};

/// What to do with rejects. `stop` fails the run at the first ones; `proceed` records them up to the limits.
struct RejectPolicy {
    bool stop = true;
    int64_t max_count = -1;  ///< -1: no limit
    double max_share = 1.0;  ///< of rows read, judged at the end
};

/// Collects the rejects of one table's load from many threads. Keeps a bounded number in memory and the rest in an
/// unlinked temporary file, so that a source full of bad rows does not cost memory.
class RejectLog {
  public:
    explicit RejectLog(RejectPolicy policy) : policy_(policy) {}
    ~RejectLog();
    RejectLog(const RejectLog&) = delete;
    RejectLog& operator=(const RejectLog&) = delete;

    /// Any thread. Fails when the policy says that the run must end here: the error quotes the first rejects.
    Status add(Reject reject);
    /// The share limit, once all rows are read.
    Status check_share(int64_t rows_read) const;
    int64_t size() const;
    /// In order of arrival; not while others add.
    Status for_each(const std::function<Status(const Reject&)>& visit) const;

  private:
    Status spill(const Reject& reject);
    Error stop_error(std::string message) const;

    RejectPolicy policy_;
    mutable std::mutex mutex_;
    std::vector<Reject> first_;
    std::FILE* spilled_ = nullptr;
    int64_t size_ = 0;
};

}  // namespace penstock::flow
