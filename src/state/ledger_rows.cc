#include "state/ledger_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "state/moment.h"

namespace penstock::state {
namespace {

/// A row of `checkpoints` as it lies in the database.
struct BatchRow {
    flow::BatchRecord record;
    long long batch = 0, read_at = 0, committed_at = 0;
    long long read = 0, written = 0, rejected = 0, filtered = 0, deleted = 0;
};

constexpr const char* batch_columns =
    "SELECT pipeline, run_id, batch, source_table, target, cursor_from, cursor_to, source_position, read_at, "
    "rows_read, "
    "rows_written, rows_rejected, rows_filtered, rows_deleted, committed_at FROM penstock.checkpoints WHERE ";

template <class... Use>
std::vector<flow::BatchRecord> batches(soci::session& sql, const std::string& where, const Use&... use) {
    BatchRow row;
    auto& record = row.record;
    auto& checkpoint = record.checkpoint;
    soci::details::prepare_temp_type prepare = (sql.prepare << batch_columns + where);
    ((prepare, soci::use(use)), ...);
    soci::statement select =
        (prepare, soci::into(record.pipeline), soci::into(record.run_id), soci::into(row.batch),
         soci::into(record.source), soci::into(record.target), soci::into(checkpoint.cursor_from),
         soci::into(checkpoint.cursor_to), soci::into(checkpoint.position), soci::into(row.read_at),
         soci::into(row.read), soci::into(row.written), soci::into(row.rejected), soci::into(row.filtered),
         soci::into(row.deleted), soci::into(row.committed_at));
    std::vector<flow::BatchRecord> found;
    for (select.execute(); select.fetch(); found.push_back(record)) {
        record.batch = row.batch;
        checkpoint.read_at = from_micros(row.read_at);
        record.counts = {.rows_read = row.read,
                         .rows_written = row.written,
                         .rows_rejected = row.rejected,
                         .rows_filtered = row.filtered,
                         .rows_deleted = row.deleted};
        record.committed_at = from_micros(row.committed_at);
    }
    return found;
}

/// As every database can hold it.
std::string storable(const std::string& text) {
    auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    auto follows = [&](size_t at, unsigned least = 0x80, unsigned most = 0xbf) {
        return byte(at) >= least && byte(at) <= most;
    };
    std::string out;
    for (size_t at = 0; at < text.size();) {
        unsigned lead = byte(at);
        size_t length = 0;  // RFC 3629, "Syntax of UTF-8 Byte Sequences"
        if (lead > 0 && lead < 0x80) length = 1;
        else if (lead >= 0xc2 && lead < 0xe0 && follows(at + 1)) length = 2;
        else if (lead >= 0xe0 && lead < 0xf0 && follows(at + 2) &&
                 follows(at + 1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf))
            length = 3;
        else if (lead >= 0xf0 && lead < 0xf5 && follows(at + 2) && follows(at + 3) &&
                 follows(at + 1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf))
            length = 4;
        if (length > 0) out.append(text, at, length);
        else out += fmt::format("\\x{:02x}", lead);
        at += std::max<size_t>(length, 1);
    }
    return out;
}

const char* time_column(flow::Resolution resolution) {
    return resolution == flow::Resolution::replayed ? "replayed_at" : "discarded_at";
}

/// An open reject of these, as dealt with. Ids are numbers here, so anything else is nobody's.
long long resolve_one(soci::session& sql, const std::string& id, const std::string& condition, long long at,
                      const std::string& connection, const std::string& pipeline, const std::string& table) {
    if (id.empty() || id.find_first_not_of("0123456789") != id.npos || id.size() > 18) return 0;
    long long number = std::atoll(id.c_str());
    soci::statement update =
        (sql.prepare << condition + " AND id = :id", soci::use(at), soci::use(connection), soci::use(pipeline),
         soci::use(pipeline), soci::use(table), soci::use(table), soci::use(number));
    update.execute(true);
    return update.get_affected_rows();
}

}  // namespace

std::optional<flow::BatchRecord> select_batch(soci::session& sql, const std::string& pipeline,
                                              const std::string& source, const std::string& target) {
    auto found =
        batches(sql, "pipeline = :pipeline AND source_table = :source AND target = :target", pipeline, source, target);
    return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<flow::BatchRecord> select_batches(soci::session& sql, const std::string& connection,
                                              const std::string& pipeline) {
    return batches(sql,
                   "connection = :connection AND (:any = '' OR pipeline = :pipeline) ORDER BY pipeline, source_table",
                   connection, pipeline, pipeline);
}

void put_batch(soci::session& sql, const flow::BatchRecord& record, const std::string& connection) {
    long long batch = record.batch, read_at = micros(record.checkpoint.read_at);
    long long read = record.counts.rows_read, written = record.counts.rows_written;
    long long rejected = record.counts.rows_rejected, filtered = record.counts.rows_filtered;
    long long deleted = record.counts.rows_deleted, committed_at = micros(record.committed_at);
    sql << "DELETE FROM penstock.checkpoints WHERE pipeline = :pipeline AND source_table = :source AND target = "
           ":target",
        soci::use(record.pipeline), soci::use(record.source), soci::use(record.target);
    sql << "INSERT INTO penstock.checkpoints (pipeline, source_table, target, connection, run_id, batch, cursor_from, "
           "cursor_to, "
           "source_position, read_at, rows_read, rows_written, rows_rejected, rows_filtered, rows_deleted, "
           "committed_at) "
           "VALUES (:pipeline, :source, :target, :connection, :run_id, :batch, :cursor_from, :cursor_to, :position, "
           ":read_at, :read, :written, :rejected, :filtered, :deleted, :committed_at)",
        soci::use(record.pipeline), soci::use(record.source), soci::use(record.target), soci::use(connection),
        soci::use(record.run_id), soci::use(batch), soci::use(record.checkpoint.cursor_from),
        soci::use(record.checkpoint.cursor_to), soci::use(record.checkpoint.position), soci::use(read_at),
        soci::use(read), soci::use(written), soci::use(rejected), soci::use(filtered), soci::use(deleted),
        soci::use(committed_at);
}

Status put_rejects(soci::session& sql, const flow::RunIdentity& run, const flow::RejectLog& rejects,
                   const std::string& connection) {
    if (rejects.size() == 0) return {};
    long long id = 0;
    sql << "SELECT coalesce(max(id), 0) FROM penstock.rejects", soci::into(id);
    return rejects.for_each([&](const flow::Reject& reject) -> Status {
        long long received_at = micros(reject.received_at);
        std::string key = storable(reject.key), reason = storable(reject.reason), payload = storable(reject.payload);
        ++id;
        sql << "INSERT INTO penstock.rejects (id, pipeline, connection, run_id, source_table, route, source_position, "
               "row_key, "
               "column_name, code, reason, payload, received_at, replayed_at, discarded_at) VALUES (:id, :pipeline, "
               ":connection, :run_id, :source, :route, :position, :key, :column, :code, :reason, :payload, "
               ":received_at, "
               "0, 0)",
            soci::use(id), soci::use(run.pipeline), soci::use(connection), soci::use(run.run_id),
            soci::use(reject.table), soci::use(reject.route), soci::use(reject.source_position), soci::use(key),
            soci::use(reject.column), soci::use(reject.code), soci::use(reason), soci::use(payload),
            soci::use(received_at);
        return {};
    });
}

long long resolve_rejects(soci::session& sql, const flow::RejectFilter& filter, flow::Resolution resolution,
                          TimePoint at, const std::string& connection) {
    long long time = micros(at);
    std::string update_open = fmt::format(
        "UPDATE penstock.rejects SET {} = :at WHERE connection = :connection AND (:any = '' OR pipeline = :pipeline) "
        "AND "
        "(:any_table = '' OR source_table = :source) AND replayed_at = 0 AND discarded_at = 0",
        time_column(resolution));
    if (filter.ids.empty()) {
        soci::statement update =
            (sql.prepare << update_open, soci::use(time), soci::use(connection), soci::use(filter.pipeline),
             soci::use(filter.pipeline), soci::use(filter.table), soci::use(filter.table));
        update.execute(true);
        return update.get_affected_rows();
    }
    long long resolved = 0;
    for (const auto& id : filter.ids)
        resolved += resolve_one(sql, id, update_open, time, connection, filter.pipeline, filter.table);
    return resolved;
}

bool was_resolved(soci::session& sql, flow::Resolution resolution, TimePoint at, const std::string& connection) {
    long long time = micros(at), count = 0;
    sql << fmt::format("SELECT count(*) FROM penstock.rejects WHERE connection = :connection AND {} = :at",
                       time_column(resolution)),
        soci::use(connection), soci::use(time), soci::into(count);
    return count != 0;
}

std::vector<flow::RejectRecord> select_rejects(soci::session& sql, const flow::RejectFilter& filter,
                                               const std::string& connection) {
    flow::RejectRecord record;
    auto& reject = record.reject;
    long long id = 0, received_at = 0, replayed_at = 0, discarded_at = 0;
    soci::statement select =
        (sql.prepare
             << "SELECT id, pipeline, run_id, source_table, route, source_position, row_key, column_name, code, "
                "reason, payload, received_at, replayed_at, discarded_at FROM penstock.rejects WHERE connection = "
                ":connection AND (:any = '' OR pipeline = :pipeline) AND (:any_table = '' OR source_table = "
                ":source) ORDER BY id",
         soci::use(connection), soci::use(filter.pipeline), soci::use(filter.pipeline), soci::use(filter.table),
         soci::use(filter.table), soci::into(id), soci::into(record.pipeline), soci::into(record.run_id),
         soci::into(reject.table), soci::into(reject.route), soci::into(reject.source_position), soci::into(reject.key),
         soci::into(reject.column), soci::into(reject.code), soci::into(reject.reason), soci::into(reject.payload),
         soci::into(received_at), soci::into(replayed_at), soci::into(discarded_at));
    std::vector<flow::RejectRecord> found;
    for (select.execute(); select.fetch();) {
        record.id = std::to_string(id);
        reject.received_at = from_micros(received_at);
        record.replayed_at = from_micros(replayed_at), record.discarded_at = from_micros(discarded_at);
        if (filter.open_only && !record.open()) continue;
        if (!filter.ids.empty() && std::ranges::find(filter.ids, record.id) == filter.ids.end()) continue;
        if (filter.limit >= 0 && static_cast<int64_t>(found.size()) == filter.limit) break;
        found.push_back(record);
    }
    return found;
}

}  // namespace penstock::state
