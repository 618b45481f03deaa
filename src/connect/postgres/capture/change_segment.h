#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/change_blocks.h"

namespace penstock::postgres {

/// One change of a committed transaction. (commit.lsn, ordinal) orders all changes there are; it is the same whenever the
/// server sends the transaction again. One truncate of several tables has one ordinal in all of them.
struct ChangeRecord {
    ChangeCommit commit;
    /// Counts the transaction's changes in all tables, from 0; those of aborted savepoints are left out.
    uint64_t ordinal = 0;
    std::string_view old_tuple, new_tuple;  ///< valid while the chunk holds this record
    uint32_t schema = 0;
    char op = 0;
    uint8_t flags = 0;
};

/// Up to 2048 changes of one run, and the memory they lie in. One thread at a time; may outlive run, segment and log.
class ChangeChunk {
  public:
    ChangeChunk() = default;
    ~ChangeChunk() { clear(); }
    ChangeChunk(const ChangeChunk&) = delete;
    ChangeChunk& operator=(const ChangeChunk&) = delete;

    std::span<const ChangeRecord> records() const { return records_; }
    /// Lets go of the memory; `ChangeRun::next` does so first.
    void clear();

  private:
    friend class ChangeRun;
    std::shared_ptr<ChangeBlocks> blocks_;
    std::vector<ChangeRecord> records_;
    std::vector<ChangeBlock*> pinned_;
    size_t pinned_bytes_ = 0;
};

/// The part of a block that belongs to a run.
struct ChangePiece {
    ChangeBlock* block = nullptr;
    size_t begin = 0, end = 0;
    uint64_t records = 0;
    uint64_t first_lsn = 0, last_lsn = 0;  ///< of the commits
};

/// The changes of one table in a segment, in order. They are read once, by any number of threads with a chunk each; what
/// was read leaves memory and disk as its chunks are cleared. What is left when the run goes is dropped.
class ChangeRun {
  public:
    /// For ChangeLog: takes the owners' places of the pieces' blocks.
    ChangeRun(std::shared_ptr<ChangeBlocks> blocks, uint32_t table, std::vector<ChangePiece> pieces);
    ~ChangeRun();
    ChangeRun(const ChangeRun&) = delete;
    ChangeRun& operator=(const ChangeRun&) = delete;

    uint32_t table() const { return table_; }
    uint64_t records() const { return records_; }
    uint64_t bytes() const { return bytes_; }  ///< as they are held: 24 a record, and its tuples
    /// Every flag that any record has (and perhaps one that only a dropped record had).
    uint8_t flags() const { return flags_; }

    /// The next changes; a chunk without records at the end. Any thread. After an error the run is of no use.
    Status next(ChangeChunk& chunk);
    /// The same, but the changes stay to be read: a first look at all of them, before the first `next`.
    Status look(ChangeChunk& chunk);

  private:
    struct Cursor {
        size_t piece = 0;
        size_t at = 0;
        bool pinned = false;
        ChangeCommit commit;
    };
    Status fill(ChangeChunk& chunk, Cursor& cursor, bool last);
    Result<bool> enter(ChangeChunk& chunk, Cursor& cursor);
    void leave(Cursor& cursor, bool last);

    std::mutex mutex_;
    std::shared_ptr<ChangeBlocks> blocks_;
    uint32_t table_;
    uint64_t records_ = 0, bytes_ = 0;
    uint8_t flags_ = 0;
    std::vector<ChangePiece> pieces_;
    Cursor reading_, looking_;
};

/// Whole transactions, one after the other, as the queue had them.
struct ChangeSegment {
    uint64_t transactions = 0;  ///< 0: nothing had been committed; the rest means nothing
    uint64_t records = 0;       ///< a truncate of n tables counts n times
    uint64_t bytes = 0;
    uint64_t first_commit_lsn = 0, last_commit_lsn = 0;
    uint64_t end_lsn = 0;  ///< what may be confirmed once the segment is durable
    int64_t first_commit_time = 0, last_commit_time = 0;
    std::vector<std::unique_ptr<ChangeRun>> runs;  ///< by table index; only tables with changes
};

}  // namespace penstock::postgres
