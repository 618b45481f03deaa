#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backup/wal_start.h"
#include "backup/wal_store.h"

namespace penstock::backup {

/// What is received of one timeline, on its way into the store: holds the block that is being filled. A flush puts what the
/// store has not; a full block is put whole, and then its pieces are removed. One thread.
class WalBlock {
  public:
    /// What was stored of the first block already is compared with what comes again: `diverged` where it differs.
    static Result<WalBlock> open(const WalStore& store, const WalStart& start, const WalIndex& index);

    /// Puts each block that is full.
    Status add(std::string_view bytes);
    Status flush();

    Lsn received() const { return begin_ + bytes_.size(); }
    /// The store has all up to here; ahead of received() while what it has comes again.
    Lsn stored() const { return stored_; }
    bool pending() const { return received() > stored_; }
    /// Since when the oldest byte that is not stored is here, where pending().
    std::chrono::steady_clock::time_point pending_since() const { return pending_since_; }

    /// The store did not take the last that was put.
    bool failed() const { return failed_; }

    uint64_t stored_bytes() const { return stored_bytes_; }
    uint64_t objects() const { return objects_; }

  private:
    WalBlock(const WalStore& store, const WalStart& start)
        : store_(store), timeline_(start.timeline), begin_(start.from), stored_(start.stored) {}

    Status compare(std::string_view bytes) const;
    Status put(const WalPiece& piece);
    Status close();

    const WalStore& store_;
    uint32_t timeline_;
    Lsn begin_;  ///< of bytes_
    Lsn stored_;
    std::string bytes_;
    std::string known_;             ///< what the store has from begin_ on
    std::vector<WalPiece> pieces_;  ///< of this block, in the store
    std::chrono::steady_clock::time_point pending_since_{};
    uint64_t stored_bytes_ = 0;
    uint64_t objects_ = 0;
    bool failed_ = false;
};

}  // namespace penstock::backup
