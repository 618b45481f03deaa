#include "connect/bigquery/bookkeeping.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "flow/ledger_rows.h"

namespace penstock::bigquery {
namespace {

constexpr const char* metadata = "pipeline_metadata";
constexpr const char* rejects_table = "rejects";
constexpr const char* registry = "schema_registry";

std::vector<Column> columns(std::initializer_list<std::pair<const char*, const char*>> named) {
    std::vector<Column> made;
    for (const auto& [name, type] : named) made.push_back({.name = name, .type = type});
    return made;
}

std::vector<Column> metadata_columns() {
    return columns({{"pipeline", "STRING"},
                    {"run_id", "STRING"},
                    {"batch", "INT64"},
                    {"table", "STRING"},
                    {"target", "STRING"},
                    {"cursor_from", "STRING"},
                    {"cursor_to", "STRING"},
                    {"last_loaded_timestamp", "TIMESTAMP"},
                    {"position", "STRING"},
                    {"read_at", "TIMESTAMP"},
                    {"rows_read", "INT64"},
                    {"rows_written", "INT64"},
                    {"rows_rejected", "INT64"},
                    {"rows_filtered", "INT64"},
                    {"rows_deleted", "INT64"},
                    {"error_count", "INT64"},
                    {"committed_at", "TIMESTAMP"}});
}

std::vector<Column> reject_columns() {
    return columns({{"id", "STRING"},
                    {"pipeline", "STRING"},
                    {"run_id", "STRING"},
                    {"table", "STRING"},
                    {"route", "STRING"},
                    {"source_position", "STRING"},
                    {"key", "STRING"},
                    {"column", "STRING"},
                    {"code", "STRING"},
                    {"reason", "STRING"},
                    {"payload", "STRING"},
                    {"received_at", "TIMESTAMP"},
                    {"replayed_at", "TIMESTAMP"},
                    {"discarded_at", "TIMESTAMP"}});
}

std::vector<Column> registry_columns() {
    return columns({{"table", "STRING"},
                    {"version", "INT64"},
                    {"columns", "STRING"},
                    {"column", "STRING"},
                    {"change", "STRING"},
                    {"decision", "STRING"},
                    {"sql", "STRING"},
                    {"detail", "STRING"},
                    {"first_seen_at", "TIMESTAMP"}});
}

std::string names_of(const std::vector<Column>& columns) {
    std::vector<std::string> names;
    for (const auto& column : columns) names.push_back(column.name);
    return quote_list(names);
}

std::string time(TimePoint at) {
    if (at == TimePoint{}) return "CAST(NULL AS TIMESTAMP)";
    return fmt::format("TIMESTAMP_MICROS({})", at.time_since_epoch().count());
}

/// A time as BigQuery tells it: microseconds, through no formatting.
std::string micros(const char* column) { return fmt::format("UNIX_MICROS({})", column); }

/// A cursor that is a time is also when the data was last loaded up to; any other has that of the read.
std::string last_loaded(const flow::Checkpoint& checkpoint) {
    return fmt::format("COALESCE(SAFE_CAST({} AS TIMESTAMP), {})", text_or_null(checkpoint.cursor_to),
                       time(checkpoint.read_at));
}

/// AND conditions with their parameters.
struct Where {
    std::string sql = "TRUE";
    std::vector<Parameter> parameters;

    void equal(const char* column, std::string_view value) {
        if (value.empty()) return;
        std::string name = fmt::format("p{}", parameters.size());
        parameters.push_back({name, "STRING", std::string(value)});
        sql += fmt::format(" AND {} = @{}", column, name);
    }
    void one_of(const char* column, const std::vector<std::string>& values) {
        if (values.empty()) return;
        std::string list;
        for (const auto& value : values) list += (list.empty() ? "" : ", ") + quote_literal(value);
        sql += fmt::format(" AND {} IN ({})", column, list);
    }
};

Where where_of(const flow::RejectFilter& filter) {
    Where where;
    where.equal("pipeline", filter.pipeline);
    where.equal("`table`", filter.table);
    where.one_of("id", filter.ids);
    if (filter.open_only) where.sql += " AND replayed_at IS NULL AND discarded_at IS NULL";
    return where;
}

}  // namespace

std::string text_or_null(const std::string& value) {
    return value.empty() ? "CAST(NULL AS STRING)" : quote_literal(value);
}

Status Bookkeeping::create() {
    if (created_) return {};
    PN_CHECK(make_dataset(client_, client_.options().bookkeeping.value));
    std::array<std::pair<const char*, std::vector<Column>>, 3> tables = {
        {{metadata, metadata_columns()}, {rejects_table, reject_columns()}, {registry, registry_columns()}}};
    for (auto& [name, columns] : tables) {
        std::vector<std::string> clustering = {name == registry ? "table" : "pipeline"};
        PN_CHECK(make_table(client_, {.id = client_.bookkeeping(name),
                                      .columns = std::move(columns),
                                      .clustering = std::move(clustering),
                                      .description = "Penstock's bookkeeping"}));
    }
    created_ = true;
    return {};
}

Result<bool> Bookkeeping::has(const char* table) {
    if (created_) return true;
    PN_TRY(auto found, look_at(client_, client_.bookkeeping(table)));
    return found.exists;
}

Result<std::vector<flow::BatchRecord>> Bookkeeping::newest_batches(std::string_view pipeline) {
    std::vector<flow::BatchRecord> records;
    PN_TRY(bool known, has(metadata));
    if (!known) return records;
    Where where;
    where.equal("pipeline", pipeline);
    PN_TRY(auto rows,
           jobs_.select({.sql = fmt::format(
                             "SELECT pipeline, run_id, batch, `table`, target, cursor_from, cursor_to, position, "
                             "{}, rows_read, rows_written, rows_rejected, rows_filtered, rows_deleted, {} FROM {} "
                             "WHERE {} QUALIFY ROW_NUMBER() OVER (PARTITION BY pipeline, `table`, target ORDER BY "
                             "batch DESC) = 1 ORDER BY pipeline, `table`",
                             micros("read_at"), micros("committed_at"), name(metadata), where.sql),
                         .what = "read the checkpoints",
                         .parameters = where.parameters,
                         .fresh = fresh()}));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::batch_of(rows, i));
    return records;
}

Result<std::vector<flow::SchemaRecord>> Bookkeeping::schema_history(std::string_view target) {
    std::vector<flow::SchemaRecord> records;
    PN_TRY(bool known, has(registry));
    if (!known) return records;
    Where where;
    where.equal("`table`", target);
    PN_TRY(
        auto rows,
        jobs_.select({.sql = fmt::format("SELECT `table`, version, columns, `column`, change, decision, sql, {} FROM "
                                         "{} WHERE {} ORDER BY first_seen_at, `table`, version",
                                         micros("first_seen_at"), name(registry), where.sql),
                      .what = "read the schema history",
                      .parameters = where.parameters,
                      .fresh = fresh()}));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::schema_of(rows, i));
    return records;
}

Result<std::vector<flow::RejectRecord>> Bookkeeping::rejects(const flow::RejectFilter& filter) {
    std::vector<flow::RejectRecord> records;
    PN_TRY(bool known, has(rejects_table));
    if (!known) return records;
    Where where = where_of(filter);
    std::string limit = filter.limit >= 0 ? fmt::format(" LIMIT {}", filter.limit) : "";
    PN_TRY(auto rows,
           jobs_.select({.sql = fmt::format(
                             "SELECT id, pipeline, run_id, `table`, route, source_position, `key`, `column`, code, "
                             "reason, {}, {}, {}, {} FROM {} WHERE {} ORDER BY received_at, id{}",
                             filter.whole ? "payload" : "NULL", micros("received_at"), micros("replayed_at"),
                             micros("discarded_at"), name(rejects_table), where.sql, limit),
                         .what = "read the rejects",
                         .parameters = where.parameters}));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::reject_of(rows, i));
    return records;
}

Result<int64_t> Bookkeeping::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    PN_TRY(bool known, has(rejects_table));
    if (!known) return 0;
    flow::RejectFilter open = filter;
    open.open_only = true;
    Where where = where_of(open);
    const char* column = resolution == flow::Resolution::replayed ? "replayed_at" : "discarded_at";
    PN_TRY(auto done, jobs_.run({.sql = fmt::format("UPDATE {} SET {} = {} WHERE {}", name(rejects_table), column,
                                                    time(at), where.sql),
                                 .what = "close rejects",
                                 .parameters = where.parameters}));
    return done.affected_rows;
}

std::string Bookkeeping::newest_sql(const flow::RunIdentity& run, const flow::TableTarget& target) const {
    return fmt::format("SELECT COALESCE(MAX(batch), 0) FROM {} WHERE pipeline = {} AND `table` = {} AND target = {}",
                       name(metadata), quote_literal(run.pipeline), quote_literal(target.info.name),
                       quote_literal(target.name));
}

Result<int64_t> Bookkeeping::price_of_assert(const flow::RunIdentity& run, const flow::TableTarget& target) {
    return jobs_.estimate({.sql = newest_sql(run, target), .what = "price the look at the checkpoint"});
}

std::string Bookkeeping::assert_unmoved(const flow::RunIdentity& run, const flow::TableTarget& target,
                                        int64_t batch) const {
    return fmt::format("ASSERT ({}) = {} AS '{}'", newest_sql(run, target), batch, checkpoint_moved_text);
}

/// One look at the table, which bills its least once.
std::string Bookkeeping::assert_stream_unmoved(const flow::RunIdentity& run, int64_t stream,
                                               const std::vector<Committed>& tables) const {
    std::string same =
        fmt::format("COALESCE(MAX(IF(`table` = {}, batch, 0)), 0) = {}", quote_literal(flow::stream_row), stream);
    for (const auto& [source, target, batch] : tables)
        same += fmt::format(" AND COALESCE(MAX(IF(`table` = {} AND target = {}, batch, 0)), 0) = {}",
                            quote_literal(source), quote_literal(target), batch);
    return fmt::format("ASSERT (SELECT {} FROM {} WHERE pipeline = {}) AS '{}'", same, name(metadata),
                       quote_literal(run.pipeline), checkpoint_moved_text);
}

std::string Bookkeeping::add_stream(const flow::RunIdentity& run, const flow::Checkpoint& at, int64_t batch,
                                    TimePoint moment) const {
    return fmt::format(
        "INSERT INTO {} ({}) VALUES ({}, {}, {}, {}, CAST(NULL AS STRING), CAST(NULL AS STRING), "
        "CAST(NULL AS STRING), {}, {}, {}, 0, 0, 0, 0, 0, 0, {})",
        name(metadata), names_of(metadata_columns()), text_or_null(run.pipeline), text_or_null(run.run_id), batch,
        text_or_null(flow::stream_row), time(at.read_at), text_or_null(at.position), time(at.read_at), time(moment));
}

std::string Bookkeeping::add_batch(const flow::RunIdentity& run, const flow::TableCommit& commit, int64_t batch,
                                   TimePoint at) const {
    const auto& [target, checkpoint, counts, rejects] = commit;
    return fmt::format(
        "INSERT INTO {} ({}) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
        name(metadata), names_of(metadata_columns()), text_or_null(run.pipeline), text_or_null(run.run_id), batch,
        text_or_null(target.info.name), text_or_null(target.name), text_or_null(checkpoint.cursor_from),
        text_or_null(checkpoint.cursor_to), last_loaded(checkpoint), text_or_null(checkpoint.position),
        time(checkpoint.read_at), counts.rows_read, counts.rows_written, counts.rows_rejected, counts.rows_filtered,
        counts.rows_deleted, counts.rows_rejected, time(at));
}

std::string Bookkeeping::add_decisions(const std::string& target, int64_t version, const data::Schema& schema,
                                       std::span<const flow::SchemaDecision> decisions, TimePoint at) const {
    std::string rows, shown = quote_literal(data::to_json(schema));
    for (const auto& decision : decisions)
        rows += fmt::format("{}({}, {}, {}, {}, {}, {}, {}, {}, {})", rows.empty() ? "" : ", ", text_or_null(target),
                            version, shown, text_or_null(decision.column), text_or_null(decision.change),
                            text_or_null(decision.decision), text_or_null(decision.sql), text_or_null(decision.detail),
                            time(at));
    return fmt::format("INSERT INTO {} ({}) VALUES {}", name(registry), names_of(registry_columns()), rows);
}

std::string Bookkeeping::add_rejects(const TableId& staged) const {
    return fmt::format("INSERT INTO {0} ({1}) SELECT {1} FROM {2}", name(rejects_table), names_of(reject_columns()),
                       staged.quoted());
}

std::vector<std::string> Bookkeeping::mark_replayed(const flow::RunIdentity& run, const flow::TableTarget& target,
                                                    TimePoint at) const {
    if (target.replays.empty()) return {};
    Where where;
    where.one_of("id", target.replays);
    std::string open = fmt::format("pipeline = {} AND {} AND replayed_at IS NULL AND discarded_at IS NULL",
                                   quote_literal(run.pipeline), where.sql);
    return {fmt::format("ASSERT (SELECT COUNT(*) FROM {} WHERE {}) = {} AS '{}'", name(rejects_table), open,
                        target.replays.size(), rejects_closed_text),
            fmt::format("UPDATE {} SET replayed_at = {} WHERE {}", name(rejects_table), time(at), open)};
}

NewTable Bookkeeping::rejects_like(const TableId& id) const { return {.id = id, .columns = reject_columns()}; }

}  // namespace penstock::bigquery
