#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/change_queue.h"

namespace penstock::postgres {

struct ChangeLogOptions {
    size_t memory_bytes = size_t{256} << 20;
    size_t block_bytes = size_t{1} << 20;
    SpillOptions spill;
    uint64_t divide_at = 0;  ///< no segment has commits from before this LSN and others
};

/// A change as it comes from the stream. Op, flags and schema are the caller's: they come back as they were given.
struct Change {
    uint32_t table = 0;
    char op = 'c';  ///< 'c', 'u', 'd', 't'; never 0
    uint8_t flags = 0;
    uint32_t schema = 0;  ///< which of the relation's shapes the tuples have
    std::string_view old_tuple = {}, new_tuple = {};
};

struct ChangeLogUsage {
    size_t memory_bytes = 0;
    uint64_t disk_bytes = 0;
    uint64_t open_transactions = 0;
    uint64_t open_bytes = 0;
    uint64_t queued_transactions = 0;
    uint64_t queued_records = 0;
    uint64_t queued_bytes = 0;
    int64_t oldest_commit_time = 0;  ///< of the queue; 0 where it is empty
    uint64_t oldest_commit_lsn = 0;  ///< the same
};

/// Changes between the stream and the target: of transactions under way, by their top-level xid, then of committed ones in
/// the order of their commits, until a segment of them is taken and read.
///
/// - Memory and disk are bounded for all of it, segments being read included. What does not fit into memory lies in a file
///   without a name. Memory goes beyond its bound by at most two blocks a reader and one a run, or a record that is larger.
///   Beyond the disk's limit `append` fails with `capacity`. So that a slow target does not bring this about, whoever reads
///   the stream pauses while the queue is long (`usage`); an open transaction has to be held, come what may.
/// - Any thread may call; the calls that carry the stream (`begin` to `commit`) come from one at a time, in stream order.
/// - When a call fails its transaction cannot be committed any more, only aborted. Everything else is as before.
/// - After a new connection the server sends again what was not confirmed: start with a new log then.
class ChangeLog {
  public:
    explicit ChangeLog(ChangeLogOptions options);
    /// Segments that were taken can still be read.
    ~ChangeLog();
    ChangeLog(const ChangeLog&) = delete;
    ChangeLog& operator=(const ChangeLog&) = delete;

    /// Begin, or the first Stream Start of a transaction.
    Status begin(uint32_t xid);
    /// `subxid` is the subtransaction's, or `xid`, or 0 where the protocol does not tell. Tuples are copied.
    Status append(uint32_t xid, uint32_t subxid, const Change& change);
    /// One truncate of all these tables, with one ordinal.
    Status truncate(uint32_t xid, uint32_t subxid, std::span<const Change> tables);
    /// Commit, Stream Commit or Commit Prepared. Commits come with rising LSNs.
    Status commit(uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn, int64_t commit_time);
    /// Drops the transaction, from memory and disk. One that is not known has nothing to drop.
    void abort(uint32_t xid);
    /// Drops a subtransaction: all changes from its first one on, as PostgreSQL's own apply worker does (worker.c,
    /// stream_abort_internal). A session is in one subtransaction at a time and the abort comes in its place in the WAL, so
    /// whatever came since belongs to it or to subtransactions within, whose own aborts come as well, in any order.
    /// Ordinals go on from where the subtransaction began. One that is not known has nothing to drop.
    Status abort_sub(uint32_t xid, uint32_t subxid);

    /// Takes the longest run of whole transactions within the limits from the queue's front. (Of more small transactions
    /// than memory has an entry for, neighbours are kept as one.)
    Result<ChangeSegment> take(const SegmentLimits& limits);

    ChangeLogUsage usage() const;

  private:
    /// The changes of one table in an open transaction.
    struct Part {
        std::vector<ChangeBlock*> blocks;
        uint64_t bytes = 0;
    };
    /// Consecutive changes of one subtransaction.
    struct SubRun {
        uint32_t sub;      ///< xids past the top-level transaction's
        uint32_t highest;  ///< of this and all before
        uint64_t first;    ///< ordinal
    };
    struct Transaction {
        std::unordered_map<uint32_t, Part> parts;
        Part* last_part = nullptr;
        uint32_t last_table = 0;
        std::vector<SubRun> subs;
        uint32_t current_sub = 0;
        uint64_t next_ordinal = 0;
        bool broken = false;
    };

    Result<Transaction*> find(uint32_t xid);
    void forget(uint32_t xid);
    Part& part(Transaction& transaction, uint32_t table);
    Status append_all(uint32_t xid, uint32_t subxid, std::span<const Change> changes);
    Status put(Transaction& transaction, const Change& change);
    Result<ChangeBlock*> room(Part& part, size_t need);
    Status cut(Part& part, uint64_t ordinal);

    std::shared_ptr<ChangeBlocks> blocks_;
    std::unordered_map<uint32_t, Transaction> open_;
    Transaction* last_ = nullptr;
    uint32_t last_xid_ = 0;
    uint64_t open_bytes_ = 0;
    uint64_t last_lsn_ = 0;
    ChangeQueue queue_;
};

}  // namespace penstock::postgres
