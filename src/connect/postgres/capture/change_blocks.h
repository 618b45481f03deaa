#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/change_record.h"
#include "connect/postgres/capture/spill_file.h"

namespace penstock::postgres {

/// How soon a block will be read; what is read last goes to disk first.
enum class ChangeStage : uint8_t { open, queued, taken };

/// Records, one after the other, in memory or in the spill file.
struct ChangeBlock {
    std::unique_ptr<char[]> bytes;  ///< null while on disk only
    size_t capacity = 0;            ///< of `bytes`
    size_t used = 0;
    size_t last = 0;  ///< where the last record begins
    SpillFile::Extent extent;
    uint64_t records = 0;
    uint64_t first_ordinal = 0, last_ordinal = 0;
    ChangeCommit commit;  ///< of the records before the first mark
    uint8_t flags = 0;    ///< of any of its records
    ChangeStage stage = ChangeStage::open;
    bool sealed = false;  ///< takes no more records
    uint32_t pins = 0;    ///< who reads `bytes`: it stays where it is
    uint32_t owners = 1;  ///< who will still read it

    std::list<ChangeBlock>* home = nullptr;
    std::list<ChangeBlock>::iterator self;

    bool roomy(size_t need) const { return !sealed && bytes && used + need <= capacity; }
    RecordHeader header(size_t at) const { return read_at<RecordHeader>(bytes.get() + at); }
};

/// All blocks of a change log, within its memory and its disk. What does not fit into memory is put aside, last needed
/// first: blocks of open transactions, of the queue from its end, of what was taken, and last those being filled.
/// Beyond the memory go, if there is nothing left to put aside, what is pinned and one block being filled.
/// Every function is called with `mutex` held, and holds it on return.
class ChangeBlocks {
  public:
    ChangeBlocks(size_t memory_bytes, size_t block_bytes, SpillOptions spill);

    std::mutex mutex;

    /// An empty block for a record of `need` bytes; rather `wish` if memory allows. On failure nothing has changed but
    /// that blocks may lie on disk.
    Result<ChangeBlock*> create(size_t need, size_t wish, ChangeStage stage);
    void seal(ChangeBlock& block);
    /// It may be filled further; whoever calls is its only owner and has it pinned.
    void reopen(ChangeBlock& block);
    void move(ChangeBlock& block, ChangeStage stage);

    /// Brings the bytes to memory and keeps them there. With `lock` (of `mutex`) it is let go while the disk is read.
    Status pin(ChangeBlock& block, std::unique_lock<std::mutex>* lock = nullptr);
    /// Once more, of what is pinned.
    void pin_again(ChangeBlock& block) { ++block.pins; }
    void unpin(ChangeBlock& block);
    /// An owner is done: with the last owner and pin the block is gone, from memory and disk.
    void release(ChangeBlock& block);
    /// It will be pinned soon.
    void expect(const ChangeBlock& block) const;

    /// Memory that others take on the log's behalf.
    void charge(ptrdiff_t bytes) { charged_ = static_cast<size_t>(static_cast<ptrdiff_t>(charged_) + bytes); }

    size_t block_bytes() const { return sizes_.back(); }
    size_t memory_limit() const { return memory_; }
    size_t memory_bytes() const { return held_ + charged_; }
    uint64_t disk_bytes() const { return file_.held_bytes(); }

  private:
    using List = std::list<ChangeBlock>;
    struct Buffer {
        std::unique_ptr<char[]> bytes;
        size_t capacity = 0;
    };

    size_t size_for(size_t need, size_t wish) const;
    Status make_room(size_t bytes);
    ChangeBlock* next_to_spill();
    Status spill(ChangeBlock& block);
    Result<Buffer> buffer(size_t capacity, bool to_read);
    void give_back(Buffer buffer);
    void drop_bytes(ChangeBlock& block);
    void drop_extent(ChangeBlock& block);
    void place(ChangeBlock& block, bool first = false);

    size_t memory_;
    std::array<size_t, 5> sizes_;
    SpillFile file_;
    std::array<List, 3> sealed_;  ///< in memory, unpinned, by stage; the last is put aside first
    List filling_;                ///< in memory, not sealed
    List away_;                   ///< on disk, or pinned
    std::array<std::vector<Buffer>, 5> spare_;
    size_t spare_bytes_ = 0;
    size_t held_ = 0;     ///< buffers, spare ones too
    size_t charged_ = 0;  ///< lists, and what describes blocks
};

}  // namespace penstock::postgres
