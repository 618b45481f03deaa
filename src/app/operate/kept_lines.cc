#include "app/operate/kept_lines.h"

#include <algorithm>

namespace penstock::app {

void KeptLines::add(std::string line) {
    auto number = ++newest_;
    auto bytes = line.size();
    head_is_full_ = head_is_full_ || head_.lines == most_head_.lines || head_.bytes + bytes > most_head_.bytes;
    pending_.push_back({.number = number, .json = std::move(line)});
    if (!head_is_full_) {
        ++head_.lines, head_.bytes += bytes;
        last_of_head_ = number;
        return;
    }
    tail_.push_back({number, bytes});
    tail_bytes_ += bytes;
    while (tail_.size() > 1 && (tail_.size() > most_tail_.lines || tail_bytes_ > most_tail_.bytes))
        drop_oldest_of_tail();
}

void KeptLines::drop_oldest_of_tail() {
    auto number = tail_.front().number;
    tail_bytes_ -= tail_.front().bytes;
    tail_.pop_front();
    auto unwritten = std::ranges::lower_bound(pending_, number, {}, &state::RunLogLine::number);
    if (unwritten != pending_.end() && unwritten->number == number) pending_.erase(unwritten);
}

KeptLines::Batch KeptLines::batch() const {
    return {.lines = {pending_.begin(), pending_.end()},
            .head = last_of_head_,
            .tail = tail_.empty() ? last_of_head_ + 1 : tail_.front().number};
}

void KeptLines::written(const Batch& batch) {
    if (batch.lines.empty()) return;
    std::erase_if(pending_, [&](const auto& line) { return line.number <= batch.lines.back().number; });
}

}  // namespace penstock::app
