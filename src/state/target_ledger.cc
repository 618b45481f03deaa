#include "state/target_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "state/connection.h"

namespace penstock::state {
namespace {

long long micros(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint from_micros(long long time) { return TimePoint(std::chrono::microseconds(time)); }

/// A row of `checkpoints` as it lies in the database.
struct BatchRow {
    flow::BatchRecord record;
    long long batch = 0, read_at = 0, committed_at = 0;
    long long read = 0, written = 0, rejected = 0, filtered = 0, deleted = 0;
};

constexpr const char* select_batches =
    "SELECT pipeline, run_id, batch, source_table, target, cursor_from, cursor_to, source_position, read_at, "
    "rows_read, "
    "rows_written, rows_rejected, rows_filtered, rows_deleted, committed_at FROM checkpoints WHERE ";

template <class... Use>
std::vector<flow::BatchRecord> batches(soci::session& sql, const std::string& where, Use&... use) {
    BatchRow row;
    auto& record = row.record;
    auto& checkpoint = record.checkpoint;
    soci::details::prepare_temp_type prepare = (sql.prepare << select_batches + where);
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

long long newest_batch(soci::session& sql, const std::string& pipeline, const std::string& source,
                       const std::string& target) {
    auto found =
        batches(sql, "pipeline = :pipeline AND source_table = :source AND target = :target", pipeline, source, target);
    return found.empty() ? 0 : found.front().batch;
}

void put_batch(soci::session& sql, const flow::BatchRecord& record, const std::string& connection) {
    long long batch = record.batch, read_at = micros(record.checkpoint.read_at);
    long long read = record.counts.rows_read, written = record.counts.rows_written;
    long long rejected = record.counts.rows_rejected, filtered = record.counts.rows_filtered;
    long long deleted = record.counts.rows_deleted, committed_at = micros(record.committed_at);
    sql << "DELETE FROM checkpoints WHERE pipeline = :pipeline AND source_table = :source AND target = :target",
        soci::use(record.pipeline), soci::use(record.source), soci::use(record.target);
    sql << "INSERT INTO checkpoints (pipeline, source_table, target, connection, run_id, batch, cursor_from, "
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
    sql << "SELECT coalesce(max(id), 0) FROM rejects", soci::into(id);
    return rejects.for_each([&](const flow::Reject& reject) -> Status {
        long long received_at = micros(reject.received_at);
        ++id;
        sql << "INSERT INTO rejects (id, pipeline, connection, run_id, source_table, route, source_position, row_key, "
               "column_name, code, reason, payload, received_at, replayed_at, discarded_at) VALUES (:id, :pipeline, "
               ":connection, :run_id, :source, :route, :position, :key, :column, :code, :reason, :payload, "
               ":received_at, "
               "0, 0)",
            soci::use(id), soci::use(run.pipeline), soci::use(connection), soci::use(run.run_id),
            soci::use(reject.table), soci::use(reject.route), soci::use(reject.source_position), soci::use(reject.key),
            soci::use(reject.column), soci::use(reject.code), soci::use(reject.reason), soci::use(reject.payload),
            soci::use(received_at);
        return {};
    });
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

long long resolve_all(soci::session& sql, const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at,
                      const std::string& connection) {
    long long time = micros(at);
    std::string update_open = fmt::format(
        "UPDATE rejects SET {} = :at WHERE connection = :connection AND (:any = '' OR pipeline = :pipeline) AND "
        "(:any_table = '' OR source_table = :source) AND replayed_at = 0 AND discarded_at = 0",
        resolution == flow::Resolution::replayed ? "replayed_at" : "discarded_at");
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

std::vector<flow::RejectRecord> select_rejects(soci::session& sql, const flow::RejectFilter& filter,
                                               const std::string& connection) {
    flow::RejectRecord record;
    auto& reject = record.reject;
    long long id = 0, received_at = 0, replayed_at = 0, discarded_at = 0;
    soci::statement select =
        (sql.prepare
             << "SELECT id, pipeline, run_id, source_table, route, source_position, row_key, column_name, code, "
                "reason, payload, received_at, replayed_at, discarded_at FROM rejects WHERE connection = "
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

Error moved(const std::string& pipeline, const std::string& target) {
    return {.kind = ErrorKind::conflict,
            .code = "checkpoint_moved",
            .message = fmt::format("another run of pipeline {} has written {} since this one began", pipeline, target),
            .hint = "what this run wrote since its last checkpoint is written again; run again"};
}

}  // namespace

TargetLedger::TargetLedger(std::string url, std::filesystem::path directory, std::string connection)
    : url_(std::move(url)), directory_(std::move(directory)), connection_name_(std::move(connection)) {}
TargetLedger::~TargetLedger() = default;

/// Nothing where there is no state yet.
Result<Connection*> TargetLedger::open(bool create) {
    if (connection_) return connection_.get();
    PN_TRY(auto file, state_file(url_, directory_));
    std::error_code ignored;
    if (!create && !std::filesystem::exists(file, ignored)) return nullptr;
    PN_TRY(connection_, Connection::open(file, create ? Connection::Create::yes : Connection::Create::no));
    // The source lets go of what a checkpoint covers: unlike a run's history it must outlive a power cut.
    PN_CHECK(connection_->read([](soci::session& sql) -> Status {
        sql << "PRAGMA synchronous = FULL";
        return {};
    }));
    return connection_.get();
}

Result<std::vector<flow::RejectRecord>> TargetLedger::rejects(const flow::RejectFilter& filter) {
    std::vector<flow::RejectRecord> found;
    PN_TRY(auto* connection, open(false));
    if (connection == nullptr) return found;
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        found = select_rejects(sql, filter, connection_name_);
        return {};
    }));
    return found;
}

Result<int64_t> TargetLedger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    PN_TRY(auto* connection, open(false));
    if (connection == nullptr) return 0;
    int64_t resolved = 0;
    PN_CHECK(connection->write([&](soci::session& sql) -> Status {
        resolved = resolve_all(sql, filter, resolution, at, connection_name_);
        return {};
    }));
    return resolved;
}

Result<std::vector<flow::SchemaRecord>> TargetLedger::schema_history(std::string_view) {
    return std::vector<flow::SchemaRecord>();
}

Result<std::vector<flow::BatchRecord>> TargetLedger::checkpoints(std::string_view pipeline) {
    std::vector<flow::BatchRecord> found;
    PN_TRY(auto* connection, open(false));
    if (connection == nullptr) return found;
    std::string wanted(pipeline);
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        found = batches(
            sql, "connection = :connection AND (:any = '' OR pipeline = :pipeline) ORDER BY pipeline, source_table",
            connection_name_, wanted, wanted);
        return {};
    }));
    return found;
}

Result<std::optional<flow::Checkpoint>> TargetLedger::checkpoint(const std::string& pipeline, const std::string& source,
                                                                 const std::string& target) {
    std::optional<flow::Checkpoint> newest;
    PN_TRY(auto* connection, open(false));
    long long& known = known_batches_[{source, target}] = 0;
    if (connection == nullptr) return newest;
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        auto found = batches(sql, "pipeline = :pipeline AND source_table = :source AND target = :target", pipeline,
                             source, target);
        if (found.empty()) return {};
        newest = found.front().checkpoint;
        known = found.front().batch;
        return {};
    }));
    return newest;
}

Status TargetLedger::commit(const flow::RunIdentity& run, std::span<const flow::TableCommit> tables,
                            const std::optional<flow::Checkpoint>& stream) {
    PN_TRY(auto* connection, open(true));
    auto committed_at = now();
    std::map<Names, long long> batch_of;
    auto written = connection->write([&](soci::session& sql) -> Status {
        auto put = [&](const std::string& source, const std::string& target, const flow::Checkpoint& checkpoint,
                       const flow::Counts& counts) -> Status {
            long long newest = newest_batch(sql, run.pipeline, source, target);
            auto known = known_batches_.find({source, target});
            if (known != known_batches_.end() && known->second != newest) return fail(moved(run.pipeline, target));
            batch_of[{source, target}] = newest + 1;
            put_batch(sql,
                      {.pipeline = run.pipeline,
                       .run_id = run.run_id,
                       .batch = newest + 1,
                       .source = source,
                       .target = target,
                       .checkpoint = checkpoint,
                       .counts = counts,
                       .committed_at = committed_at},
                      connection_name_);
            return {};
        };
        for (const auto& [target, checkpoint, counts, rejects] : tables) {
            long long closed = 0;
            if (!target.replays.empty())
                closed = resolve_all(sql, {.pipeline = run.pipeline, .ids = target.replays}, flow::Resolution::replayed,
                                     committed_at, connection_name_);
            if (closed != static_cast<long long>(target.replays.size()))
                return fail(flow::rejects_closed(target, closed));
            PN_CHECK(put_rejects(sql, run, rejects, connection_name_));
            PN_CHECK(put(target.info.name, target.name, checkpoint, counts));
        }
        return stream ? put(stream_source, "", *stream, {}) : Status();
    });
    if (!written) return written;
    for (const auto& [names, batch] : batch_of) known_batches_[names] = batch;
    return {};
}

}  // namespace penstock::state
