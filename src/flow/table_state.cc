#include "flow/table_state.h"

namespace penstock::flow {

TableState::TableState(const TableTarget& target, RejectPolicy policy) : rejects(policy) {
    result.source = target.info.name;
    result.target = target.name;
    result.notes = target.info.notes;
}

Counts TableState::segment_counts(const Counts& loaded) const {
    Counts counts = loaded;
    counts.rows_read = progress.rows_read - settled_rows_;
    counts.bytes_read = progress.bytes_read - settled_bytes_;
    counts.rows_rejected = rejects.size();
    int64_t filtered = progress.rows_filtered - settled_filtered_;
    counts.rows_filtered += filtered;
    return counts;
}

void TableState::settle(const Counts& counts, const Checkpoint& checkpoint, bool last) {
    result.counts += counts;
    result.checkpoint = checkpoint;
    durable = true;
    done = last;
    settled_rows_ += counts.rows_read;
    settled_filtered_ = progress.rows_filtered;
    settled_bytes_ += counts.bytes_read;
    progress.rows_read = settled_rows_;
    progress.bytes_read = settled_bytes_;
    progress.rows_rejected = result.counts.rows_rejected;
    rejects.settle(counts.rows_rejected);
}

void TableState::rewind() {
    progress.rows_filtered = settled_filtered_;
    progress.rows_read = settled_rows_;
    progress.bytes_read = settled_bytes_;
    progress.rows_rejected = result.counts.rows_rejected;
    rejects.rewind();
}

TableState& TableStates::of(const TableTarget& target, RejectPolicy policy) {
    auto& state = by_source_[target.info.name];
    if (state == nullptr) state = states_.emplace_back(std::make_unique<TableState>(target, policy)).get();
    return *state;
}

const TableState* TableStates::find(const std::string& source) const {
    auto found = by_source_.find(source);
    return found == by_source_.end() ? nullptr : found->second;
}

}  // namespace penstock::flow
