#include "connect/postgres/capture/change_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace penstock::postgres {
namespace {

constexpr size_t longest_record = size_t{0xf000'0000};

constexpr ptrdiff_t node_cost = 4 * sizeof(void*);

Error out_of_turn(const char* code, std::string message) {
    return {.kind = ErrorKind::internal,
            .code = code,
            .message = std::move(message),
            .hint = "this is a fault of penstock: please report it with the run's log"};
}

}  // namespace

ChangeLog::ChangeLog(ChangeLogOptions options)
    : blocks_(std::make_shared<ChangeBlocks>(options.memory_bytes, options.block_bytes, std::move(options.spill))),
      queue_(blocks_, options.divide_at) {}

ChangeLog::~ChangeLog() {
    std::lock_guard lock(blocks_->mutex);
    while (!open_.empty()) forget(open_.begin()->first);
    queue_.clear();
}

Status ChangeLog::begin(uint32_t xid) {
    std::lock_guard lock(blocks_->mutex);
    if (!open_.try_emplace(xid).second)
        return fail(out_of_turn("transaction_begun_twice", fmt::format("transaction {} began twice", xid)));
    blocks_->charge(sizeof(Transaction) + node_cost);
    return {};
}

Result<ChangeLog::Transaction*> ChangeLog::find(uint32_t xid) {
    if (!last_ || last_xid_ != xid) {
        auto found = open_.find(xid);
        if (found == open_.end())
            return fail(out_of_turn("transaction_unknown", fmt::format("transaction {} goes on but never began", xid)));
        last_ = &found->second;
        last_xid_ = xid;
    }
    if (last_->broken)
        return fail(out_of_turn("transaction_broken", fmt::format("transaction {} goes on after it failed", xid)));
    return last_;
}

/// Its changes are gone, or somebody else's.
void ChangeLog::forget(uint32_t xid) {
    auto found = open_.find(xid);
    if (found == open_.end()) return;
    Transaction& transaction = found->second;
    for (auto& [table, part] : transaction.parts) {
        for (ChangeBlock* block : part.blocks) blocks_->release(*block);
        open_bytes_ -= part.bytes;
    }
    blocks_->charge(-static_cast<ptrdiff_t>(sizeof(Transaction) + transaction.parts.size() * sizeof(Part) +
                                            transaction.subs.size() * sizeof(SubRun)) -
                    node_cost * static_cast<ptrdiff_t>(1 + transaction.parts.size()));
    open_.erase(found);
    last_ = nullptr;
}

ChangeLog::Part& ChangeLog::part(Transaction& transaction, uint32_t table) {
    if (transaction.last_part && transaction.last_table == table) return *transaction.last_part;
    auto [found, is_new] = transaction.parts.try_emplace(table);
    if (is_new) blocks_->charge(sizeof(Part) + node_cost);
    transaction.last_table = table;
    return *(transaction.last_part = &found->second);
}

Status ChangeLog::append(uint32_t xid, uint32_t subxid, const Change& change) {
    return append_all(xid, subxid, {&change, 1});
}

Status ChangeLog::append_all(uint32_t xid, uint32_t subxid, std::span<const Change> changes) {
    std::lock_guard lock(blocks_->mutex);
    PN_TRY(Transaction * transaction, find(xid));
    uint32_t sub = subxid == 0 ? 0 : subxid - xid;
    if (sub != transaction->current_sub) {
        if (sub != 0) {
            uint32_t highest = transaction->subs.empty() ? sub : std::max(sub, transaction->subs.back().highest);
            transaction->subs.push_back({.sub = sub, .highest = highest, .first = transaction->next_ordinal});
            blocks_->charge(sizeof(SubRun));
        }
        transaction->current_sub = sub;
    }
    for (const Change& change : changes) {
        auto status = put(*transaction, change);
        transaction->broken = !status;
        if (!status) return status;
    }
    ++transaction->next_ordinal;
    return {};
}

Status ChangeLog::truncate(uint32_t xid, uint32_t subxid, std::span<const Change> tables) {
    return append_all(xid, subxid, tables);
}

Status ChangeLog::put(Transaction& transaction, const Change& change) {
    size_t need = sizeof(RecordHeader) + change.old_tuple.size() + change.new_tuple.size();
    if (need > longest_record)
        return fail({.kind = ErrorKind::data,
                     .code = "change_too_long",
                     .message = fmt::format("a change of {} bytes cannot be held", need)});
    Part& its = part(transaction, change.table);
    PN_TRY(ChangeBlock * block, room(its, need));
    RecordHeader header{.size = static_cast<uint32_t>(need),
                        .previous = block->used == 0 ? 0 : static_cast<uint32_t>(block->used - block->last),
                        .old_size = static_cast<uint32_t>(change.old_tuple.size()),
                        .schema = change.schema,
                        .ordinal_flags_op = RecordHeader::packed(transaction.next_ordinal, change.flags, change.op)};
    char* at = block->bytes.get() + block->used;
    std::memcpy(at, &header, sizeof header);
    at += sizeof header;
    std::copy_n(change.old_tuple.data(), change.old_tuple.size(), at);
    std::copy_n(change.new_tuple.data(), change.new_tuple.size(), at + change.old_tuple.size());
    if (block->used == 0) block->first_ordinal = transaction.next_ordinal;
    block->last_ordinal = transaction.next_ordinal;
    block->last = block->used;
    block->used += need;
    block->flags |= change.flags;
    ++block->records;
    its.bytes += need;
    open_bytes_ += need;
    return {};
}

Result<ChangeBlock*> ChangeLog::room(Part& part, size_t need) {
    if (!part.blocks.empty()) {
        ChangeBlock* block = part.blocks.back();
        if (block->roomy(need)) return block;
        if (!block->sealed) blocks_->seal(*block);
    }
    part.blocks.reserve(part.blocks.size() + 1);
    PN_TRY(ChangeBlock * block, blocks_->create(need, part.bytes, ChangeStage::open));
    part.blocks.push_back(block);
    return block;
}

void ChangeLog::abort(uint32_t xid) {
    std::lock_guard lock(blocks_->mutex);
    forget(xid);
}

Status ChangeLog::abort_sub(uint32_t xid, uint32_t subxid) {
    std::lock_guard lock(blocks_->mutex);
    if (subxid == xid || !open_.contains(xid)) {
        forget(xid);
        return {};
    }
    PN_TRY(Transaction * transaction, find(xid));
    auto& subs = transaction->subs;
    uint32_t sub = subxid - xid;
    // A change that came before the subtransaction got its xid is of one with a lower xid: no need to look further.
    size_t first = subs.size();
    for (size_t i = subs.size(); i > 0 && subs[i - 1].highest >= sub; --i)
        if (subs[i - 1].sub == sub) first = i - 1;
    if (first == subs.size()) return {};

    uint64_t ordinal = subs[first].first;
    blocks_->charge(-static_cast<ptrdiff_t>((subs.size() - first) * sizeof(SubRun)));
    subs.resize(first);
    transaction->current_sub = 0;
    transaction->next_ordinal = ordinal;
    for (auto& [table, part] : transaction->parts) {
        auto status = cut(part, ordinal);
        transaction->broken = !status;
        if (!status) return status;
    }
    return {};
}

/// Drops the changes from this ordinal on.
Status ChangeLog::cut(Part& part, uint64_t ordinal) {
    auto lose = [&](uint64_t bytes) {
        part.bytes -= bytes;
        open_bytes_ -= bytes;
    };
    for (; !part.blocks.empty() && part.blocks.back()->first_ordinal >= ordinal; part.blocks.pop_back()) {
        lose(part.blocks.back()->used);
        blocks_->release(*part.blocks.back());
    }
    if (part.blocks.empty() || part.blocks.back()->last_ordinal < ordinal) return {};
    ChangeBlock& block = *part.blocks.back();
    PN_CHECK(blocks_->pin(block));
    while (block.last_ordinal >= ordinal) {
        auto header = block.header(block.last);
        lose(header.size);
        block.used = block.last;
        block.last -= header.previous;
        block.last_ordinal = block.header(block.last).ordinal();
        --block.records;
    }
    blocks_->reopen(block);
    blocks_->unpin(block);
    return {};
}

Status ChangeLog::commit(uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn, int64_t commit_time) {
    std::lock_guard lock(blocks_->mutex);
    PN_TRY(Transaction * transaction, find(xid));
    if (commit_lsn <= last_lsn_)
        return fail(out_of_turn("commit_out_of_order",
                                fmt::format("transaction {} committed at {:X}, before {:X} that came earlier", xid,
                                            commit_lsn, last_lsn_)));
    ChangeCommit commit{.lsn = commit_lsn, .time = commit_time, .xid = xid};
    CommittedTransactions entry{.first_lsn = commit_lsn,
                                .last_lsn = commit_lsn,
                                .end_lsn = end_lsn,
                                .first_time = commit_time,
                                .last_time = commit_time};
    for (auto& [table, part] : transaction->parts) {
        for (const ChangeBlock* block : part.blocks) entry.records += block->records;
        entry.bytes += part.bytes;
        queue_.add(table, part.blocks, commit);
        part.blocks.clear();
    }
    last_lsn_ = commit_lsn;
    queue_.close(entry);
    forget(xid);
    return {};
}

Result<ChangeSegment> ChangeLog::take(const SegmentLimits& limits) {
    std::lock_guard lock(blocks_->mutex);
    return queue_.take(limits);
}

ChangeLogUsage ChangeLog::usage() const {
    std::lock_guard lock(blocks_->mutex);
    return {.memory_bytes = blocks_->memory_bytes(),
            .disk_bytes = blocks_->disk_bytes(),
            .open_transactions = open_.size(),
            .open_bytes = open_bytes_,
            .queued_transactions = queue_.all().transactions,
            .queued_records = queue_.all().records,
            .queued_bytes = queue_.all().bytes,
            .oldest_commit_time = queue_.oldest_time(),
            .oldest_commit_lsn = queue_.oldest_lsn()};
}

}  // namespace penstock::postgres
