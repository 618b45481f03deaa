#include "connect/postgres/capture/change_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"
#include "base/humane.h"

namespace penstock::postgres {
namespace {

/// What the log's own lists may take in any case.
constexpr size_t least_for_lists = size_t{1} << 20;
/// With its places in lists, one of them with what a queue knows of it.
constexpr size_t block_cost = sizeof(ChangeBlock) + 12 * sizeof(void*);

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t spare_share = 0;  // so that a late reader is found out
#else
constexpr size_t spare_share = 4;  // a fourth of the memory
#endif

}  // namespace

ChangeBlocks::ChangeBlocks(size_t memory_bytes, size_t block_bytes, SpillOptions spill)
    : memory_(memory_bytes), file_(std::move(spill)) {
    for (size_t i = 0; i < sizes_.size(); ++i) sizes_[i] = block_bytes >> 2 * (sizes_.size() - 1 - i);
}

size_t ChangeBlocks::size_for(size_t need, size_t wish) const {
    // Thousands of half-filled blocks must fit, too.
    wish = std::min(wish, memory_ / 2 / (filling_.size() + 1));
    size_t least = std::max(need, std::min(wish, sizes_.back()));
    for (size_t size : sizes_)
        if (size >= least) return size;
    return need;
}

Result<ChangeBlock*> ChangeBlocks::create(size_t need, size_t wish, ChangeStage stage) {
    PN_TRY(Buffer fresh, buffer(size_for(need, wish), false));
    filling_.emplace_back();
    ChangeBlock& block = filling_.back();
    block.bytes = std::move(fresh.bytes);
    block.capacity = fresh.capacity;
    block.stage = stage;
    block.home = &filling_;
    block.self = std::prev(filling_.end());
    charged_ += block_cost;
    return &block;
}

void ChangeBlocks::seal(ChangeBlock& block) {
    block.sealed = true;
    place(block);
}

void ChangeBlocks::reopen(ChangeBlock& block) {
    drop_extent(block);
    block.sealed = false;
}

void ChangeBlocks::move(ChangeBlock& block, ChangeStage stage) {
    block.sealed = true;
    block.stage = stage;
    // What was taken is read from its beginning.
    place(block);
}

Status ChangeBlocks::pin(ChangeBlock& block, std::unique_lock<std::mutex>* lock) {
    ++block.pins;
    place(block);
    if (block.bytes) return {};
    auto loaded = [&]() -> Result<Buffer> {
        PN_TRY(Buffer room, buffer(size_for(block.used, block.used), true));
        if (lock) lock->unlock();
        auto status = file_.read(block.extent, room.bytes.get(), block.used);
        if (lock) lock->lock();
        if (status) return room;
        give_back(std::move(room));
        return fail(std::move(status.error()));
    }();
    if (!loaded) {
        unpin(block);
        return fail(std::move(loaded.error()));
    }
    if (block.bytes) {  // another thread was quicker
        give_back(std::move(*loaded));
    } else {
        block.bytes = std::move(loaded->bytes);
        block.capacity = loaded->capacity;
    }
    return {};
}

void ChangeBlocks::unpin(ChangeBlock& block) {
    PN_ASSERT(block.pins > 0);
    if (--block.pins > 0) return;
    if (block.owners == 0) {
        block.owners = 1;
        release(block);
        return;
    }
    if (block.extent.length > 0) drop_bytes(block);
    place(block, block.stage == ChangeStage::taken);
}

void ChangeBlocks::release(ChangeBlock& block) {
    PN_ASSERT(block.owners > 0);
    if (--block.owners > 0 || block.pins > 0) return;
    drop_bytes(block);
    drop_extent(block);
    charged_ -= block_cost;
    block.home->erase(block.self);
}

void ChangeBlocks::expect(const ChangeBlock& block) const {
    if (!block.bytes && block.extent.length > 0) file_.expect(block.extent);
}

void ChangeBlocks::place(ChangeBlock& block, bool first) {
    List* home = block.pins > 0 || !block.bytes ? &away_
                 : block.sealed                 ? &sealed_[static_cast<size_t>(block.stage)]
                                                : &filling_;
    home->splice(first ? home->begin() : home->end(), *block.home, block.self);
    block.home = home;
}

ChangeBlock* ChangeBlocks::next_to_spill() {
    for (auto& list : sealed_)
        if (!list.empty()) return &list.back();
    auto fullest = std::ranges::max_element(filling_, {}, &ChangeBlock::used);
    return fullest == filling_.end() || fullest->used == 0 ? nullptr : &*fullest;
}

Status ChangeBlocks::spill(ChangeBlock& block) {
    PN_TRY(block.extent, file_.write(block.bytes.get(), block.used));
    block.sealed = true;
    drop_bytes(block);
    place(block);
    return {};
}

Status ChangeBlocks::make_room(size_t bytes) {
    for (auto spare = spare_.rbegin(); spare != spare_.rend() && memory_bytes() + bytes > memory_; ++spare) {
        for (; !spare->empty() && memory_bytes() + bytes > memory_; spare->pop_back()) {
            spare_bytes_ -= spare->back().capacity;
            held_ -= spare->back().capacity;
        }
    }
    while (memory_bytes() + bytes > memory_) {
        ChangeBlock* block = next_to_spill();
        if (!block) break;
        PN_CHECK(spill(*block));
    }
    if (charged_ <= std::max(memory_, least_for_lists)) return {};
    return fail(
        {.kind = ErrorKind::capacity,
         .code = "change_memory",
         .message = fmt::format("to keep account of changes that wait takes {}, more than the {} of memory for changes",
                                humane_bytes(charged_), humane_bytes(memory_)),
         .hint = fmt::format("raise `memory`: each block of changes on disk takes {} B of it, each savepoint of an "
                             "open transaction 16 B",
                             block_cost)});
}

Result<ChangeBlocks::Buffer> ChangeBlocks::buffer(size_t capacity, bool to_read) {
    auto kind = std::ranges::find(sizes_, capacity);
    if (kind != sizes_.end()) {
        auto& spare = spare_[static_cast<size_t>(kind - sizes_.begin())];
        if (!spare.empty()) {
            Buffer out = std::move(spare.back());
            spare.pop_back();
            spare_bytes_ -= out.capacity;
            return out;
        }
    }
    // A reader makes room by reading: a full disk must not keep it from that.
    if (auto room = make_room(capacity + block_cost); !room && !to_read) return fail(std::move(room.error()));
    Buffer out{.bytes = std::unique_ptr<char[]>(new (std::nothrow) char[capacity]), .capacity = capacity};
    if (!out.bytes)
        return fail({.kind = ErrorKind::capacity,
                     .code = "out_of_memory",
                     .message = fmt::format("there is no memory for {} of changes", humane_bytes(capacity)),
                     .hint = "lower `memory`, or give the process more"});
    held_ += capacity;
    return out;
}

void ChangeBlocks::give_back(Buffer buffer) {
    auto kind = std::ranges::find(sizes_, buffer.capacity);
    bool keep = kind != sizes_.end() && spare_share > 0 &&
                spare_bytes_ + buffer.capacity <= memory_ / std::max<size_t>(spare_share, 1);
    if (!keep) {
        held_ -= buffer.capacity;
        return;
    }
    spare_bytes_ += buffer.capacity;
    spare_[static_cast<size_t>(kind - sizes_.begin())].push_back(std::move(buffer));
}

void ChangeBlocks::drop_bytes(ChangeBlock& block) {
    if (block.bytes) give_back({std::move(block.bytes), std::exchange(block.capacity, 0)});
}

void ChangeBlocks::drop_extent(ChangeBlock& block) {
    if (block.extent.length > 0) file_.free(std::exchange(block.extent, {}));
}

}  // namespace penstock::postgres
