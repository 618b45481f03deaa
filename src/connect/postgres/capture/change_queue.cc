#include "connect/postgres/capture/change_queue.h"

#include <algorithm>
#include <cstring>

namespace penstock::postgres {
namespace {

/// Parts up to this share of a block are copied into one that small transactions fill together.
constexpr size_t small_share = 16;
/// Small transactions are told apart until there are very many.
constexpr uint64_t most_condensed_records = 4096;
constexpr size_t least_entries = 1024;
constexpr size_t entries_share = 8;  // of the memory

bool in_memory(const ChangeBlock* block) { return block->bytes != nullptr; }

void join(CommittedTransactions& sum, const CommittedTransactions& next) {
    sum.last_lsn = next.last_lsn;
    sum.end_lsn = next.end_lsn;
    sum.last_time = next.last_time;
    sum.records += next.records;
    sum.bytes += next.bytes;
    sum.transactions += next.transactions;
}

}  // namespace

ChangeQueue::ChangeQueue(std::shared_ptr<ChangeBlocks> blocks, uint64_t divide_at)
    : blocks_(std::move(blocks)),
      divide_at_(divide_at),
      condense_at_(std::max(least_entries, blocks_->memory_limit() / entries_share / sizeof(CommittedTransactions))) {}

void ChangeQueue::add(uint32_t table, const std::vector<ChangeBlock*>& part, const ChangeCommit& commit) {
    if (part.empty()) return;
    Pieces& pieces = tables_[table];
    if (share(part, pieces, commit)) return;
    if (!pieces.empty() && !pieces.back().block->sealed) blocks_->seal(*pieces.back().block);
    for (ChangeBlock* block : part) {
        block->commit = commit;
        blocks_->move(*block, ChangeStage::queued);
        pieces.push_back({.block = block,
                          .begin = 0,
                          .end = block->used,
                          .records = block->records,
                          .first_lsn = commit.lsn,
                          .last_lsn = commit.lsn});
    }
}

/// Copies a small part into the block at the table's end of the queue, which small transactions fill together.
bool ChangeQueue::share(const std::vector<ChangeBlock*>& part, Pieces& pieces, const ChangeCommit& commit) {
    size_t need = commit_mark_size;
    for (const ChangeBlock* block : part) need += block->used;
    if (need > blocks_->block_bytes() / small_share || !std::ranges::all_of(part, in_memory)) return false;
    bool has_tail = !pieces.empty() && pieces.back().block->roomy(need);
    if (!has_tail && !make_tail(need, pieces, commit)) return false;
    ChangePiece& piece = pieces.back();
    ChangeBlock& tail = *piece.block;
    // To make room for the tail, changes may just have gone to disk.
    if (!std::ranges::all_of(part, in_memory)) {
        blocks_->release(tail);
        pieces.pop_back();
        return false;
    }
    write_commit_mark(tail.bytes.get() + tail.used, commit);
    tail.used += commit_mark_size;
    for (ChangeBlock* block : part) {
        std::memcpy(tail.bytes.get() + tail.used, block->bytes.get(), block->used);
        tail.used += block->used;
        tail.records += block->records;
        tail.flags |= block->flags;
        piece.records += block->records;
        blocks_->release(*block);
    }
    piece.end = tail.used;
    piece.last_lsn = commit.lsn;
    return true;
}

bool ChangeQueue::make_tail(size_t need, Pieces& pieces, const ChangeCommit& commit) {
    size_t wish = 4 * need;
    if (!pieces.empty()) {
        ChangeBlock& before = *pieces.back().block;
        wish = std::max(wish, 2 * before.used);
        if (!before.sealed) blocks_->seal(before);
    }
    auto block = blocks_->create(need, wish, ChangeStage::queued);
    if (!block) return false;  // the part's own blocks will do
    (*block)->commit = commit;
    pieces.push_back(
        {.block = *block, .begin = 0, .end = 0, .records = 0, .first_lsn = commit.lsn, .last_lsn = commit.lsn});
    return true;
}

void ChangeQueue::close(const CommittedTransactions& transaction) {
    entries_.push_back(transaction);
    blocks_->charge(sizeof transaction);
    join(all_, transaction);
    condense();
}

/// Keeps the list of transactions short: neighbours become one, by pairs.
void ChangeQueue::condense() {
    if (entries_.size() < condense_at_) return;
    std::deque<CommittedTransactions> fewer;
    bool paired = true;
    for (const auto& entry : entries_) {
        paired =
            !paired && !divided(fewer.back(), entry) && fewer.back().records + entry.records <= most_condensed_records;
        if (paired) {
            join(fewer.back(), entry);
        } else {
            fewer.push_back(entry);
        }
    }
    blocks_->charge(-static_cast<ptrdiff_t>((entries_.size() - fewer.size()) * sizeof(CommittedTransactions)));
    entries_ = std::move(fewer);
    condense_at_ = std::max(condense_at_, 2 * entries_.size());
}

CommittedTransactions ChangeQueue::count(const SegmentLimits& limits, size_t& entries) const {
    CommittedTransactions sum = entries_.front();
    for (entries = 1; entries < entries_.size(); ++entries) {
        const auto& next = entries_[entries];
        if (divided(sum, next) || sum.records + next.records > limits.records ||
            sum.bytes + next.bytes > limits.bytes || next.last_time - sum.first_time > limits.span.count())
            break;
        join(sum, next);
    }
    return sum;
}

Result<ChangeQueue::Taken> ChangeQueue::share_of(const Pieces& pieces, uint64_t last_lsn) {
    Taken taken;
    while (taken.whole < pieces.size() && pieces[taken.whole].last_lsn <= last_lsn) ++taken.whole;
    if (taken.whole == pieces.size() || pieces[taken.whole].first_lsn > last_lsn) return taken;
    PN_TRY(taken.halves, split(pieces[taken.whole], last_lsn));
    return taken;
}

/// A piece of several transactions: those up to this commit, and the others.
Result<ChangeQueue::Halves> ChangeQueue::split(const ChangePiece& piece, uint64_t last_lsn) {
    PN_CHECK(blocks_->pin(*piece.block));
    ChangePiece before = piece, after = piece;
    before.records = 0;
    size_t at = piece.begin;
    while (at < piece.end) {
        auto header = piece.block->header(at);
        if (header.op() == commit_mark) {
            auto commit = read_at<ChangeCommit>(piece.block->bytes.get() + at + sizeof header);
            after.first_lsn = commit.lsn;
            if (commit.lsn > last_lsn) break;
            before.last_lsn = commit.lsn;
        } else {
            ++before.records;
        }
        at += header.size;
    }
    blocks_->unpin(*piece.block);
    before.end = after.begin = at;
    after.records -= before.records;
    return Halves{before, after};
}

Result<ChangeSegment> ChangeQueue::take(const SegmentLimits& limits) {
    ChangeSegment segment;
    if (entries_.empty()) return segment;
    size_t entries = 0;
    CommittedTransactions sum = count(limits, entries);
    std::map<uint32_t, Taken> taken;
    for (const auto& [table, pieces] : tables_) {
        if (pieces.front().first_lsn > sum.last_lsn) continue;
        PN_TRY(taken[table], share_of(pieces, sum.last_lsn));
    }
    // From here on nothing fails.
    for (const auto& [table, its] : taken) {
        auto pieces = tables_.find(table);
        segment.runs.push_back(run(table, pieces->second, its));
        if (pieces->second.empty()) tables_.erase(pieces);
    }
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(entries));
    blocks_->charge(-static_cast<ptrdiff_t>(entries * sizeof sum));
    all_.transactions -= segment.transactions = sum.transactions;
    all_.records -= segment.records = sum.records;
    all_.bytes -= segment.bytes = sum.bytes;
    segment.first_commit_lsn = sum.first_lsn;
    segment.last_commit_lsn = sum.last_lsn;
    segment.end_lsn = sum.end_lsn;
    segment.first_commit_time = sum.first_time;
    segment.last_commit_time = sum.last_time;
    return segment;
}

std::unique_ptr<ChangeRun> ChangeQueue::run(uint32_t table, Pieces& pieces, const Taken& taken) {
    auto end = pieces.begin() + static_cast<ptrdiff_t>(taken.whole);
    std::vector<ChangePiece> out(pieces.begin(), end);
    pieces.erase(pieces.begin(), end);
    if (taken.halves) {
        out.push_back(taken.halves->first);
        pieces.front() = taken.halves->second;
        ++pieces.front().block->owners;
    }
    for (auto& piece : out) blocks_->move(*piece.block, ChangeStage::taken);
    return std::make_unique<ChangeRun>(blocks_, table, std::move(out));
}

void ChangeQueue::clear() {
    for (auto& [table, pieces] : tables_)
        for (auto& piece : pieces) blocks_->release(*piece.block);
    tables_.clear();
}

}  // namespace penstock::postgres
