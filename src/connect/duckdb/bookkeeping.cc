#include "connect/duckdb/bookkeeping.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "engine/sql.h"
#include "flow/ledger_rows.h"

namespace penstock::duckdb {
namespace {

using engine::Connection;
using engine::Rows;
using engine::Value;

constexpr const char* create_statements = R"(
CREATE SCHEMA IF NOT EXISTS penstock;
CREATE TABLE IF NOT EXISTS penstock.pipeline_metadata (
    pipeline VARCHAR, run_id VARCHAR, batch BIGINT, "table" VARCHAR, target VARCHAR, cursor_from VARCHAR, cursor_to VARCHAR,
    last_loaded_timestamp TIMESTAMPTZ, "position" VARCHAR, read_at TIMESTAMPTZ, rows_read BIGINT, rows_written BIGINT,
    rows_rejected BIGINT, rows_filtered BIGINT, rows_deleted BIGINT, error_count BIGINT, committed_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS penstock.rejects (
    id BIGINT, pipeline VARCHAR, run_id VARCHAR, "table" VARCHAR, route VARCHAR, source_position VARCHAR, "key" VARCHAR,
    "column" VARCHAR, code VARCHAR, reason VARCHAR, payload VARCHAR, received_at TIMESTAMPTZ, replayed_at TIMESTAMPTZ,
    discarded_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS penstock.schema_registry (
    "table" VARCHAR, version BIGINT, columns VARCHAR, "column" VARCHAR, change VARCHAR, decision VARCHAR, sql VARCHAR,
    detail VARCHAR, first_seen_at TIMESTAMPTZ))";

Value number(int64_t value) { return std::to_string(value); }
Value time(TimePoint at) { return at == TimePoint{} ? Value() : Value(iso_time(at)); }

/// AND conditions with their parameters.
struct Where {
    std::string sql = "true";
    std::vector<Value> parameters;

    void equal(const char* column, std::string_view value) {
        if (value.empty()) return;
        parameters.emplace_back(std::string(value));
        sql += fmt::format(" AND {} = ${}", column, parameters.size());
    }
    void one_of(const char* column, const std::vector<std::string>& values) {
        if (values.empty()) return;
        std::string list;
        for (const auto& value : values) {
            parameters.emplace_back(value);
            list += fmt::format("{}${}", list.empty() ? "" : ", ", parameters.size());
        }
        sql += fmt::format(" AND {} IN ({})", column, list);
    }
};

Where where_of(const flow::RejectFilter& filter) {
    Where where;
    where.equal("pipeline", filter.pipeline);
    where.equal("\"table\"", filter.table);
    where.one_of("id::VARCHAR", filter.ids);
    if (filter.open_only) where.sql += " AND replayed_at IS NULL AND discarded_at IS NULL";
    return where;
}

}  // namespace

engine::Value or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

Status Bookkeeping::create(Connection& connection) const {
    PN_CHECK(connection.execute(create_statements));
    return {};
}

Result<bool> Bookkeeping::has(Connection& connection, const char* table) const {
    Value name = table;
    PN_TRY(Rows rows, connection.query("SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND "
                                       "schema_name = 'penstock' AND table_name = $1",
                                       {&name, 1}));
    return !rows.empty();
}

Result<std::vector<flow::BatchRecord>> Bookkeeping::batches(Connection& connection, const std::string& where,
                                                            std::span<const Value> parameters) const {
    std::vector<flow::BatchRecord> records;
    PN_TRY(bool known, has(connection, "pipeline_metadata"));
    if (!known) return records;
    PN_TRY(Rows rows, connection.query("SELECT pipeline, run_id, batch, \"table\", target, cursor_from, cursor_to, "
                                       "\"position\", epoch_us(read_at), rows_read,"
                                       " rows_written, rows_rejected, rows_filtered, rows_deleted, "
                                       "epoch_us(committed_at) FROM penstock.pipeline_metadata WHERE " +
                                           where,
                                       parameters));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::batch_of(rows, i));
    return records;
}

Result<std::optional<flow::BatchRecord>> Bookkeeping::newest_batch(Connection& connection, const std::string& pipeline,
                                                                   const std::string& source,
                                                                   const std::string& target) const {
    std::vector<Value> parameters = {pipeline, source, target};
    PN_TRY(auto found,
           batches(connection, "pipeline = $1 AND \"table\" = $2 AND target = $3 ORDER BY batch DESC LIMIT 1",
                   parameters));
    if (found.empty()) return std::optional<flow::BatchRecord>();
    return std::optional(std::move(found.front()));
}

Result<std::vector<flow::BatchRecord>> Bookkeeping::newest_batches(Connection& connection,
                                                                   std::string_view pipeline) const {
    Where where;
    where.equal("pipeline", pipeline);
    return batches(connection,
                   where.sql +
                       " QUALIFY row_number() OVER (PARTITION BY pipeline, \"table\", target ORDER BY batch DESC) = 1"
                       " ORDER BY pipeline, \"table\"",
                   where.parameters);
}

Result<std::vector<flow::SchemaRecord>> Bookkeeping::schemas(Connection& connection, const std::string& where,
                                                             std::span<const Value> parameters) const {
    std::vector<flow::SchemaRecord> records;
    PN_TRY(bool known, has(connection, "schema_registry"));
    if (!known) return records;
    PN_TRY(Rows rows,
           connection.query(
               "SELECT \"table\", version, columns, \"column\", change, decision, sql, epoch_us(first_seen_at)"
               " FROM penstock.schema_registry WHERE " +
                   where,
               parameters));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::schema_of(rows, i));
    return records;
}

Result<std::vector<flow::SchemaRecord>> Bookkeeping::schema_history(Connection& connection,
                                                                    std::string_view target) const {
    Where where;
    where.equal("\"table\"", target);
    return schemas(connection, where.sql + " ORDER BY first_seen_at, \"table\", version", where.parameters);
}

Status Bookkeeping::add_batch(Connection& connection, const flow::RunIdentity& run,
                              const flow::TableCommit& commit) const {
    const auto& [target, checkpoint, counts, rejects] = commit;
    std::vector<Value> parameters = {run.pipeline,
                                     run.run_id,
                                     target.info.name,
                                     target.name,
                                     or_null(checkpoint.cursor_from),
                                     or_null(checkpoint.cursor_to),
                                     or_null(checkpoint.position),
                                     time(checkpoint.read_at),
                                     number(counts.rows_read),
                                     number(counts.rows_written),
                                     number(counts.rows_rejected),
                                     number(counts.rows_filtered),
                                     number(counts.rows_deleted),
                                     time(now())};
    PN_CHECK(connection.execute(
        "INSERT INTO penstock.pipeline_metadata BY NAME SELECT $1 AS pipeline, $2 AS run_id, (SELECT "
        "coalesce(max(batch), 0) + 1 FROM"
        " penstock.pipeline_metadata WHERE pipeline = $1 AND \"table\" = $3 AND target = $4) AS batch, $3 AS "
        "\"table\", $4 AS target,"
        " $5 AS cursor_from, $6 AS cursor_to, coalesce(TRY_CAST($6 AS TIMESTAMPTZ), $8::TIMESTAMPTZ) AS "
        "last_loaded_timestamp,"
        " $7 AS \"position\", $8::TIMESTAMPTZ AS read_at, $9::BIGINT AS rows_read, $10::BIGINT AS rows_written,"
        " $11::BIGINT AS rows_rejected, $12::BIGINT AS rows_filtered, $13::BIGINT AS rows_deleted, $11::BIGINT AS "
        "error_count,"
        " $14::TIMESTAMPTZ AS committed_at",
        parameters));
    return {};
}

Result<std::optional<flow::BatchRecord>> Bookkeeping::stream(Connection& connection,
                                                             const std::string& pipeline) const {
    return newest_batch(connection, pipeline, flow::stream_row, "");
}

Status Bookkeeping::keep_stream(Connection& connection, const flow::RunIdentity& run,
                                const flow::Checkpoint& at) const {
    PN_TRY(auto before, stream(connection, run.pipeline));
    std::vector<Value> which = {run.pipeline, std::string(flow::stream_row)};
    PN_CHECK(
        connection.execute("DELETE FROM penstock.pipeline_metadata WHERE pipeline = $1 AND \"table\" = $2", which));
    std::vector<Value> row = {run.pipeline,
                              run.run_id,
                              number(before ? before->batch + 1 : 1),
                              std::string(flow::stream_row),
                              at.position,
                              time(at.read_at),
                              time(now())};
    PN_CHECK(connection.execute(
        "INSERT INTO penstock.pipeline_metadata BY NAME SELECT $1 AS pipeline, $2 AS run_id, $3::BIGINT AS batch, $4 "
        "AS "
        "\"table\", '' AS target, $5 AS \"position\", $6::TIMESTAMPTZ AS read_at, $6::TIMESTAMPTZ AS "
        "last_loaded_timestamp, 0 AS rows_read, 0 AS rows_written, 0 AS rows_rejected, 0 AS rows_filtered, 0 AS "
        "rows_deleted, 0 AS error_count, $7::TIMESTAMPTZ AS committed_at",
        row));
    return {};
}

Status Bookkeeping::add_rejects(Connection& connection, const flow::RunIdentity& run,
                                const flow::RejectLog& rejects) const {
    if (rejects.size() == 0) return {};
    PN_TRY(Rows newest, connection.query("SELECT coalesce(max(id), 0) FROM penstock.rejects"));
    int64_t id = newest.number(0, 0);
    PN_TRY(auto appender, engine::Appender::open(connection, "penstock", "rejects"));
    PN_CHECK(rejects.for_each([&](const flow::Reject& reject) -> Status {
        std::vector<Value> row = {number(++id),
                                  run.pipeline,
                                  run.run_id,
                                  reject.table,
                                  or_null(reject.route),
                                  or_null(reject.source_position),
                                  or_null(reject.key),
                                  or_null(reject.column),
                                  reject.code,
                                  reject.reason,
                                  or_null(reject.payload),
                                  time(reject.received_at),
                                  Value(),
                                  Value()};
        return appender.append(row);
    }));
    return appender.close();
}

Status Bookkeeping::mark_replayed(Connection& connection, const flow::RunIdentity& run,
                                  const flow::TableTarget& target) const {
    constexpr size_t ids_a_statement = 1000;
    int64_t open = 0;
    auto at = now();
    for (size_t first = 0; first < target.replays.size(); first += ids_a_statement) {
        auto ids = std::span(target.replays).subspan(first);
        ids = ids.first(std::min(ids.size(), ids_a_statement));
        PN_TRY(int64_t marked, resolve(connection, {.pipeline = run.pipeline, .ids = {ids.begin(), ids.end()}},
                                       flow::Resolution::replayed, at));
        open += marked;
    }
    if (open == static_cast<int64_t>(target.replays.size())) return {};
    return fail(flow::rejects_closed(target, open));
}

Status Bookkeeping::add_decisions(Connection& connection, const std::string& target, int64_t version,
                                  const data::Schema& schema, std::span<const flow::SchemaDecision> decisions) const {
    std::string columns = data::to_json(schema);
    for (const auto& decision : decisions) {
        std::vector<Value> parameters = {target,
                                         number(version),
                                         columns,
                                         or_null(decision.column),
                                         decision.change,
                                         decision.decision,
                                         or_null(decision.sql),
                                         or_null(decision.detail),
                                         time(now())};
        PN_CHECK(connection.execute(
            "INSERT INTO penstock.schema_registry BY NAME SELECT $1 AS \"table\", $2::BIGINT AS version, $3 AS "
            "columns, $4 AS \"column\","
            " $5 AS change, $6 AS decision, $7 AS sql, $8 AS detail, $9::TIMESTAMPTZ AS first_seen_at",
            parameters));
    }
    return {};
}

Result<std::vector<flow::RejectRecord>> Bookkeeping::rejects(Connection& connection,
                                                             const flow::RejectFilter& filter) const {
    std::vector<flow::RejectRecord> records;
    PN_TRY(bool known, has(connection, "rejects"));
    if (!known) return records;
    Where where = where_of(filter);
    std::string limit = filter.limit >= 0 ? fmt::format(" LIMIT {}", filter.limit) : "";
    PN_TRY(Rows rows, connection.query(fmt::format("SELECT {} FROM penstock.rejects WHERE {} ORDER BY id{}",
                                                   engine::reject_columns(filter.whole), where.sql, limit),
                                       where.parameters));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::reject_of(rows, i));
    return records;
}

Result<int64_t> Bookkeeping::resolve(Connection& connection, const flow::RejectFilter& filter,
                                     flow::Resolution resolution, TimePoint at) const {
    PN_TRY(bool known, has(connection, "rejects"));
    if (!known) return 0;
    flow::RejectFilter open = filter;
    open.open_only = true;
    Where where = where_of(open);
    where.parameters.push_back(time(at));
    return connection.execute(fmt::format("UPDATE penstock.rejects SET {} = ${}::TIMESTAMPTZ WHERE {}",
                                          resolution == flow::Resolution::replayed ? "replayed_at" : "discarded_at",
                                          where.parameters.size(), where.sql),
                              where.parameters);
}

}  // namespace penstock::duckdb
