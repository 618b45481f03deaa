#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace penstock::flow {

/// The code of a reject whose bytes the reader could not make sense of: the stream or its decoder is at fault, not a value,
/// so that nothing else of it can be trusted. It ends the run under every policy.
inline constexpr std::string_view malformed_code = "malformed";

/// A row the target cannot hold, with all that is needed to understand it and to try it again. One row is one reject, even
/// when several of its values are at fault.
struct Reject {
    std::string table;  ///< source table
    std::string route = {};
    std::string source_position;  ///< where in the source: ctid range, LSN, offset
    std::string key;              ///< JSON object of the key columns, or ""
    std::string column;
    std::string code;     ///< stable snake_case: numeric_overflow, special_number, invalid_utf8 …
    std::string reason;   ///< one sentence that names the value's own measure
    std::string payload;  ///< the row as a JSON object, PostgreSQL text forms, lossless
    TimePoint received_at{};
};

/// What to do with rejects. `stop` fails the run at the first ones; `proceed` records them up to the limits.
struct RejectPolicy {
    bool stop = true;
    int64_t max_count = -1;  ///< -1: no limit
    double max_share = 1.0;  ///< of rows read, judged at the end
};

/// Collects the rejects of one table from many threads, over all segments of a run. Keeps a bounded number in memory and the
/// rest in an unlinked temporary file, so that a source full of bad rows does not cost memory.
class RejectLog {
  public:
    explicit RejectLog(RejectPolicy policy) : policy_(policy) {}
    ~RejectLog();
    RejectLog(const RejectLog&) = delete;
    RejectLog& operator=(const RejectLog&) = delete;

    /// Before anything is added: the values of these columns are not to be seen, so that `***` stands for them in payloads, and
    /// a reject of such a column, or with such a key, tells neither reason nor key.
    void conceal(std::vector<std::string> columns);
    /// Any thread. Fails when the policy says that the run must end here: the error quotes the first rejects.
    Status add(Reject reject);
    /// The share limit over the whole run, once the rows of a commit are read; `rows_read` counts the run's.
    Status check_share(int64_t rows_read) const;
    /// Rejects of the segment under way: what its commit must record.
    int64_t size() const;
    /// The same, in order of arrival; not while others add.
    Status for_each(const std::function<Status(const Reject&)>& visit) const;

    /// The runner's, between segments: a commit has recorded so many, so they are let go but still count for the limits.
    /// They need not be held any more: a commit whose answer was lost is known as one only after it was taken back.
    void settle(int64_t recorded);
    /// The runner's, after an abort: the rows will be read again, so the segment's rejects are forgotten.
    void rewind();

  private:
    Status spill(const Reject& reject);
    Status for_each_spilled(const std::function<Status(const Reject&)>& visit) const;
    Error stop_error(std::string why) const;
    void clear();

    RejectPolicy policy_;
    mutable std::mutex mutex_;
    std::vector<Reject> first_;
    size_t first_bytes_ = 0;
    std::FILE* spilled_ = nullptr;
    int64_t size_ = 0;
    int64_t settled_ = 0;
    std::vector<std::string> concealed_;
};

}  // namespace penstock::flow
