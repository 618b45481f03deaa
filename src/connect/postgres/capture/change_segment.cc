#include "connect/postgres/capture/change_segment.h"

#include <utility>

#include "base/assert.h"

namespace penstock::postgres {
namespace {

constexpr size_t most_records = 2048;
constexpr size_t most_pinned_blocks =
    2;  // in full blocks: a chunk is filled up from the next blocks as long as they are small

}  // namespace

void ChangeChunk::clear() {
    records_.clear();
    if (!blocks_) return;
    {
        std::lock_guard lock(blocks_->mutex);
        for (ChangeBlock* block : pinned_) blocks_->unpin(*block);
    }
    pinned_.clear();
    pinned_bytes_ = 0;
    blocks_.reset();
}

ChangeRun::ChangeRun(std::shared_ptr<ChangeBlocks> blocks, uint32_t table, std::vector<ChangePiece> pieces)
    : blocks_(std::move(blocks)), table_(table), pieces_(std::move(pieces)) {
    for (const auto& piece : pieces_) {
        records_ += piece.records;
        bytes_ += piece.end - piece.begin;
        flags_ |= piece.block->flags;
    }
}

ChangeRun::~ChangeRun() {
    std::lock_guard lock(blocks_->mutex);
    for (Cursor* cursor : {&reading_, &looking_})
        if (cursor->pinned) blocks_->unpin(*pieces_[cursor->piece].block);
    for (size_t i = reading_.piece; i < pieces_.size(); ++i) blocks_->release(*pieces_[i].block);
}

Status ChangeRun::next(ChangeChunk& chunk) { return fill(chunk, reading_, true); }

Status ChangeRun::look(ChangeChunk& chunk) {
    PN_ASSERT(reading_.piece == 0 && !reading_.pinned);
    return fill(chunk, looking_, false);
}

Status ChangeRun::fill(ChangeChunk& chunk, Cursor& cursor, bool last) {
    chunk.clear();
    std::lock_guard lock(mutex_);
    while (chunk.records_.size() < most_records && cursor.piece < pieces_.size()) {
        PN_TRY(bool entered, enter(chunk, cursor));
        if (!entered) break;
        const ChangePiece& piece = pieces_[cursor.piece];
        const char* bytes = piece.block->bytes.get();
        while (cursor.at < piece.end && chunk.records_.size() < most_records) {
            const char* at = bytes + cursor.at;
            auto header = read_at<RecordHeader>(at);
            cursor.at += header.size;
            if (header.op() == commit_mark) {
                cursor.commit = read_at<ChangeCommit>(at + sizeof header);
                continue;
            }
            at += sizeof header;
            chunk.records_.push_back(
                {.commit = cursor.commit,
                 .ordinal = header.ordinal(),
                 .old_tuple = {at, header.old_size},
                 .new_tuple = {at + header.old_size, header.size - sizeof header - header.old_size},
                 .schema = header.schema,
                 .op = header.op(),
                 .flags = header.flags()});
        }
        if (cursor.at == piece.end) leave(cursor, last);
    }
    return {};
}

/// Has the cursor's block in memory, for itself and for the chunk; false where the chunk holds enough.
Result<bool> ChangeRun::enter(ChangeChunk& chunk, Cursor& cursor) {
    ChangePiece& piece = pieces_[cursor.piece];
    ChangeBlock& block = *piece.block;
    if (!chunk.pinned_.empty() && chunk.pinned_bytes_ + block.used > most_pinned_blocks * blocks_->block_bytes())
        return false;
    chunk.pinned_.reserve(chunk.pinned_.size() + 1);
    std::unique_lock lock(blocks_->mutex);
    if (!cursor.pinned) {
        PN_CHECK(blocks_->pin(block, &lock));
        cursor.pinned = true;
        cursor.at = piece.begin;
        cursor.commit = block.commit;
        if (cursor.piece + 1 < pieces_.size()) blocks_->expect(*pieces_[cursor.piece + 1].block);
    }
    blocks_->pin_again(block);
    chunk.blocks_ = blocks_;
    chunk.pinned_.push_back(&block);
    chunk.pinned_bytes_ += block.used;
    return true;
}

void ChangeRun::leave(Cursor& cursor, bool last) {
    ChangeBlock& block = *pieces_[cursor.piece].block;
    std::lock_guard lock(blocks_->mutex);
    cursor.pinned = false;
    ++cursor.piece;
    blocks_->unpin(block);
    if (last) blocks_->release(block);
}

}  // namespace penstock::postgres
