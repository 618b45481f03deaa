#include "connect/parquet/ledger.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "connect/parquet/manifest.h"
#include "engine/sql.h"

namespace penstock::parquet {
namespace {

using engine::quote_literal;
using engine::Rows;
using engine::Value;

TimePoint time_of(const Rows& rows, size_t row, size_t column) {
    return TimePoint(std::chrono::microseconds(rows.number(row, column)));
}

std::string condition(const flow::RejectFilter& filter) {
    std::string where = "true";
    if (!filter.pipeline.empty()) where += fmt::format(" AND pipeline = {}", quote_literal(filter.pipeline));
    if (!filter.table.empty()) where += fmt::format(" AND \"table\" = {}", quote_literal(filter.table));
    std::string ids;
    for (const auto& id : filter.ids) ids += (ids.empty() ? "" : ", ") + quote_literal(id);
    if (!ids.empty()) where += fmt::format(" AND id IN ({})", ids);
    if (filter.open_only) where += " AND replayed_at IS NULL AND discarded_at IS NULL";
    return where;
}

flow::RejectRecord reject_of(const Rows& rows, size_t i) {
    flow::RejectRecord record{
        .id = rows.text(i, 0), .pipeline = rows.text(i, 1), .run_id = rows.text(i, 2), .reject = {}};
    record.reject = {.table = rows.text(i, 3),
                     .route = rows.text(i, 4),
                     .source_position = rows.text(i, 5),
                     .key = rows.text(i, 6),
                     .column = rows.text(i, 7),
                     .code = rows.text(i, 8),
                     .reason = rows.text(i, 9),
                     .payload = rows.text(i, 10),
                     .received_at = time_of(rows, i, 11)};
    record.replayed_at = time_of(rows, i, 12);
    record.discarded_at = time_of(rows, i, 13);
    return record;
}

}  // namespace

Result<engine::Connection> Ledger::open() {
    if (!database_) {
        PN_TRY(database_, engine::Database::in_memory({.temp_directory = root_ / "_penstock/staging/ledger"}));
    }
    return database_->connect();
}

std::string Ledger::files(const std::string& kind) const {
    std::vector<std::string> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(root_ / "_penstock" / kind, none))
        if (entry.path().extension() == ".parquet") found.push_back(quote_literal(entry.path().string()));
    std::sort(found.begin(), found.end());
    return found.empty() ? ""
                         : fmt::format("read_parquet([{}], union_by_name = true, filename = '_penstock_file')",
                                       fmt::join(found, ", "));
}

Result<std::vector<flow::RejectRecord>> Ledger::rejects(const flow::RejectFilter& filter) {
    std::vector<flow::RejectRecord> records;
    std::string from = files("rejects");
    if (from.empty()) return records;
    PN_TRY(auto connection, open());
    // The newest ones where there is a limit, and newest last.
    std::string limit = filter.limit < 0 ? "" : fmt::format(" LIMIT {}", filter.limit);
    PN_TRY(auto rows, connection.query(fmt::format(
                          "SELECT * FROM (SELECT id, pipeline, run_id, \"table\", route, source_position, key, "
                          "\"column\", code, reason, "
                          "payload, epoch_us(received_at), epoch_us(replayed_at), epoch_us(discarded_at), batch, "
                          "split_part(id, '-', 2)::BIGINT AS ordinal FROM {} WHERE {} ORDER BY run_id DESC, \"table\" "
                          "DESC, batch DESC, "
                          "ordinal DESC{}) ORDER BY run_id, \"table\", batch, ordinal",
                          from, condition(filter), limit)));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(reject_of(rows, i));
    return records;
}

Result<int64_t> Ledger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    std::string from = files("rejects");
    if (from.empty()) return 0;
    PN_TRY(auto connection, open());
    flow::RejectFilter open_ones = filter;
    open_ones.open_only = true;
    std::string where = condition(open_ones);
    PN_TRY(auto touched, connection.query(fmt::format(
                             "SELECT _penstock_file, count(*) FROM {} WHERE {} GROUP BY 1 ORDER BY 1", from, where)));
    const char* column = resolution == flow::Resolution::replayed ? "replayed_at" : "discarded_at";
    int64_t marked = 0;
    for (size_t i = 0; i < touched.rows.size(); ++i) {
        Path file = touched.text(i, 0);
        Path aside = file;
        aside += ".tmp";
        PN_CHECK(connection.execute(fmt::format(
            "COPY (SELECT * EXCLUDE (_penstock_file) REPLACE (CASE WHEN {0} THEN TIMESTAMPTZ {1} ELSE {2} END AS {2}) "
            "FROM "
            "read_parquet({3}, filename = '_penstock_file')) TO {4} (FORMAT parquet, COMPRESSION zstd)",
            where, quote_literal(iso_time(at)), column, quote_literal(file.string()), quote_literal(aside.string()))));
        PN_CHECK(sync(aside));
        PN_CHECK(move_path(aside, file));
        PN_CHECK(sync(file.parent_path()));
        marked += touched.number(i, 1);
    }
    return marked;
}

Result<std::vector<flow::SchemaRecord>> Ledger::schema_history(std::string_view table) {
    std::vector<flow::SchemaRecord> records;
    std::string from = files("schema_registry");
    if (from.empty()) return records;
    PN_TRY(auto connection, open());
    std::string where = table.empty() ? "true" : fmt::format("\"table\" = {}", quote_literal(table));
    PN_TRY(auto rows,
           connection.query(fmt::format(
               "SELECT \"table\", version, columns, \"column\", change, decision, sql, epoch_us(first_seen_at) "
               "FROM {} WHERE {} ORDER BY \"table\", first_seen_at, version, \"column\" NULLS FIRST",
               from, where)));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        records.push_back({.table = rows.text(i, 0),
                           .version = rows.number(i, 1),
                           .columns = rows.text(i, 2),
                           .column = rows.text(i, 3),
                           .change = rows.text(i, 4),
                           .decision = rows.text(i, 5),
                           .sql = rows.text(i, 6),
                           .first_seen_at = time_of(rows, i, 7)});
    return records;
}

Result<std::vector<flow::BatchRecord>> Ledger::checkpoints(std::string_view pipeline) {
    PN_TRY(auto manifests, all_newest_manifests(root_, std::string(pipeline)));
    std::vector<flow::BatchRecord> records;
    for (auto& manifest : manifests)
        records.push_back({.pipeline = manifest.pipeline,
                           .run_id = manifest.run_id,
                           .batch = manifest.batch,
                           .source = manifest.source,
                           .target = manifest.target,
                           .checkpoint = manifest.checkpoint,
                           .counts = manifest.counts,
                           .committed_at = manifest.committed_at});
    return records;
}

}  // namespace penstock::parquet
