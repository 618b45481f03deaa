#pragma once

#include <deque>
#include <string>
#include <vector>

#include "state/run_logs.h"

namespace penstock::app {

/// Which lines of a run's log are kept: the first and the last, up to so many and so many bytes; between them the oldest go. Holds the
/// text of those that are not written yet, and so no more than what is kept.
class KeptLines {
  public:
    struct Bounds {
        size_t lines, bytes;
    };
    explicit KeptLines(Bounds head = {100, size_t{50} << 10}, Bounds tail = {400, size_t{200} << 10})
        : most_head_(head), most_tail_(tail) {}

    void add(std::string line);

    /// What is to be written: lines, and between which two numbers nothing else is to stay.
    struct Batch {
        std::vector<state::RunLogLine> lines;
        int64_t head = 0, tail = 0;
    };
    Batch batch() const;
    bool empty() const { return pending_.empty(); }
    void written(const Batch& batch);

  private:
    struct Size {
        int64_t number;
        size_t bytes;
    };
    void drop_oldest_of_tail();

    Bounds most_head_, most_tail_, head_{0, 0};
    bool head_is_full_ = false;
    int64_t newest_ = 0, last_of_head_ = 0;
    std::deque<Size> tail_;
    size_t tail_bytes_ = 0;
    std::deque<state::RunLogLine> pending_;
};

}  // namespace penstock::app
