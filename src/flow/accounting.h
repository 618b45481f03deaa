#pragma once

#include <atomic>
#include <cstdint>

namespace penstock::flow {

/// What became of the rows of one table in one run. I3: read = written + rejected + filtered.
struct Counts {
    int64_t rows_read = 0;
    int64_t rows_written = 0;  ///< inserted, updated or (in a change stream) deleted in the target
    int64_t rows_rejected = 0;
    int64_t rows_filtered = 0;  ///< dropped by a named rule: update_when, a filter step, superseded within the batch
    int64_t rows_deleted = 0;   ///< of rows_written, those that were deletes
    int64_t bytes_read = 0;
    int64_t bytes_written = 0;

    bool balanced() const { return rows_read == rows_written + rows_rejected + rows_filtered; }
    Counts& operator+=(const Counts& other) {
        rows_read += other.rows_read;
        rows_written += other.rows_written;
        rows_rejected += other.rows_rejected;
        rows_filtered += other.rows_filtered;
        rows_deleted += other.rows_deleted;
        bytes_read += other.bytes_read;
        bytes_written += other.bytes_written;
        return *this;
    }
};

/// What a source's or target's system has charged for.
struct Spending {
    int64_t bytes_billed = 0;
    int64_t slot_millis = 0;

    Spending& operator+=(const Spending& other) {
        bytes_billed += other.bytes_billed;
        slot_millis += other.slot_millis;
        return *this;
    }
};

/// Live figures of a table's load, written by pulling threads, read by the progress bar.
struct Progress {
    std::atomic<int64_t> rows_read = 0;
    std::atomic<int64_t> rows_rejected = 0;
    std::atomic<int64_t> bytes_read = 0;
    std::atomic<int64_t> rows_filtered = 0;  ///< before the sink saw them: by a step
};

}  // namespace penstock::flow
