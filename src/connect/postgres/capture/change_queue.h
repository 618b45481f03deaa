#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/change_segment.h"

namespace penstock::postgres {

/// Where a segment ends. The first transaction is taken whatever its size.
struct SegmentLimits {
    uint64_t records = std::numeric_limits<uint64_t>::max();
    uint64_t bytes = std::numeric_limits<uint64_t>::max();
    std::chrono::microseconds span = std::chrono::microseconds::max();  ///< from the first commit to the last
};

/// One committed transaction, or several small neighbours.
struct CommittedTransactions {
    uint64_t first_lsn = 0, last_lsn = 0, end_lsn = 0;
    int64_t first_time = 0, last_time = 0;
    uint64_t records = 0, bytes = 0, transactions = 1;
};

/// Committed transactions, in order, until they are taken. Every function is called with the blocks' mutex held.
class ChangeQueue {
  public:
    /// `divide_at`: as in ChangeLogOptions.
    ChangeQueue(std::shared_ptr<ChangeBlocks> blocks, uint64_t divide_at);

    /// The changes of one table in the transaction that `close` ends. The queue owns the blocks from now on.
    void add(uint32_t table, const std::vector<ChangeBlock*>& part, const ChangeCommit& commit);
    void close(const CommittedTransactions& transaction);
    Result<ChangeSegment> take(const SegmentLimits& limits);
    void clear();

    /// Sums.
    const CommittedTransactions& all() const { return all_; }
    /// The first commit's; 0 where there is none.
    int64_t oldest_time() const { return entries_.empty() ? 0 : entries_.front().first_time; }
    uint64_t oldest_lsn() const { return entries_.empty() ? 0 : entries_.front().first_lsn; }

  private:
    using Pieces = std::deque<ChangePiece>;
    using Halves = std::pair<ChangePiece, ChangePiece>;
    /// What a segment takes of a table's pieces.
    struct Taken {
        size_t whole = 0;
        std::optional<Halves> halves;
    };

    bool share(const std::vector<ChangeBlock*>& part, Pieces& pieces, const ChangeCommit& commit);
    bool make_tail(size_t need, Pieces& pieces, const ChangeCommit& commit);
    void condense();
    CommittedTransactions count(const SegmentLimits& limits, size_t& entries) const;
    Result<Taken> share_of(const Pieces& pieces, uint64_t last_lsn);
    Result<Halves> split(const ChangePiece& piece, uint64_t last_lsn);
    std::unique_ptr<ChangeRun> run(uint32_t table, Pieces& pieces, const Taken& taken);

    bool divided(const CommittedTransactions& before, const CommittedTransactions& after) const {
        return before.last_lsn < divide_at_ && after.first_lsn >= divide_at_;
    }

    std::shared_ptr<ChangeBlocks> blocks_;
    uint64_t divide_at_;
    std::deque<CommittedTransactions> entries_;
    size_t condense_at_;
    std::unordered_map<uint32_t, Pieces> tables_;  ///< without empty ones
    CommittedTransactions all_{.transactions = 0};
};

}  // namespace penstock::postgres
