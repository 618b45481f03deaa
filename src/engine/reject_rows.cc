#include "engine/reject_rows.h"

namespace penstock::engine {

flow::RejectRecord reject_of(const Rows& rows, size_t row) {
    flow::RejectRecord record{
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

}  // namespace penstock::engine
