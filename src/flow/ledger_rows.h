#pragma once

#include <chrono>
#include <cstddef>

#include "flow/ledger.h"

namespace penstock::flow {

/// Records out of the answer to a query. `Rows` has text(row, column), "" for NULL, and number(row, column), 0 for NULL.
template <class Rows>
TimePoint time_of(const Rows& rows, size_t row, size_t column) {
    return TimePoint(std::chrono::microseconds(rows.number(row, column)));
}

/// Of: id, pipeline, run_id, table, route, source_position, key, column, code, reason, payload, received_at, replayed_at,
/// discarded_at; times as microseconds since 1970.
template <class Rows>
RejectRecord reject_of(const Rows& rows, size_t row) {
    RejectRecord record{
        .id = rows.text(row, 0), .pipeline = rows.text(row, 1), .run_id = rows.text(row, 2), .reject = {}};
    record.reject = {.table = rows.text(row, 3),
                     .route = rows.text(row, 4),
                     .source_position = rows.text(row, 5),
                     .key = rows.text(row, 6),
                     .column = rows.text(row, 7),
                     .code = rows.text(row, 8),
                     .reason = rows.text(row, 9),
                     .payload = rows.text(row, 10),
                     .received_at = time_of(rows, row, 11)};
    record.replayed_at = time_of(rows, row, 12);
    record.discarded_at = time_of(rows, row, 13);
    return record;
}

/// Of: pipeline, run_id, batch, table, target, cursor_from, cursor_to, position, read_at, rows_read, rows_written,
/// rows_rejected, rows_filtered, rows_deleted, committed_at; times as microseconds since 1970.
template <class Rows>
BatchRecord batch_of(const Rows& rows, size_t row) {
    BatchRecord record{.pipeline = rows.text(row, 0),
                       .run_id = rows.text(row, 1),
                       .batch = rows.number(row, 2),
                       .source = rows.text(row, 3),
                       .target = rows.text(row, 4)};
    record.checkpoint = {rows.text(row, 5), rows.text(row, 6), rows.text(row, 7), time_of(rows, row, 8)};
    record.counts = {.rows_read = rows.number(row, 9),
                     .rows_written = rows.number(row, 10),
                     .rows_rejected = rows.number(row, 11),
                     .rows_filtered = rows.number(row, 12),
                     .rows_deleted = rows.number(row, 13)};
    record.committed_at = time_of(rows, row, 14);
    return record;
}

/// Of: table, version, columns, column, change, decision, sql, first_seen_at as microseconds since 1970.
template <class Rows>
SchemaRecord schema_of(const Rows& rows, size_t row) {
    return {.table = rows.text(row, 0),
            .version = rows.number(row, 1),
            .columns = rows.text(row, 2),
            .column = rows.text(row, 3),
            .change = rows.text(row, 4),
            .decision = rows.text(row, 5),
            .sql = rows.text(row, 6),
            .first_seen_at = time_of(rows, row, 7)};
}

}  // namespace penstock::flow
