#pragma once

#include "base/clock.h"
#include "engine/database.h"
#include "flow/ledger.h"

namespace penstock::engine {

/// What a reject's columns are read as, in the order of reject_of(); `key` and `column` are quoted, times are microseconds.
inline constexpr const char* reject_columns =
    "id, pipeline, run_id, \"table\", route, source_position, \"key\", \"column\", code, reason, payload, "
    "epoch_us(received_at), epoch_us(replayed_at), epoch_us(discarded_at)";

/// A time that was asked for by epoch_us().
inline TimePoint time_of(const Rows& rows, size_t row, size_t column) {
    return TimePoint(std::chrono::microseconds(rows.number(row, column)));
}

/// A row of reject_columns.
flow::RejectRecord reject_of(const Rows& rows, size_t row);

}  // namespace penstock::engine
