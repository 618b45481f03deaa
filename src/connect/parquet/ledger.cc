#include "connect/parquet/ledger.h"

#include <fmt/format.h>

#include "connect/parquet/manifest.h"
#include "connect/parquet/reject_files.h"
#include "engine/sql.h"
#include "flow/ledger_rows.h"

namespace penstock::parquet {
namespace {

using engine::quote_literal;
using engine::Value;

}  // namespace

Result<engine::Connection> Ledger::open() {
    if (!database_) {
        PN_TRY(database_, engine::Database::in_memory({.temp_directory = root_ / "_penstock/staging/ledger"}));
    }
    return database_->connect();
}

Result<std::vector<flow::RejectRecord>> Ledger::rejects(const flow::RejectFilter& filter) {
    std::vector<flow::RejectRecord> records;
    std::string from = bookkeeping_files(root_, "rejects");
    if (from.empty()) return records;
    PN_TRY(auto connection, open());
    // The newest ones where there is a limit, and newest last.
    std::string limit = filter.limit < 0 ? "" : fmt::format(" LIMIT {}", filter.limit);
    PN_TRY(auto rows, connection.query(fmt::format(
                          "SELECT * FROM (SELECT {}, batch, split_part(id, '-', 2)::BIGINT AS ordinal FROM {} WHERE {} "
                          "ORDER BY run_id DESC, \"table\" DESC, batch DESC, ordinal DESC{}) "
                          "ORDER BY run_id, \"table\", batch, ordinal",
                          engine::reject_columns(filter.whole), from, condition(filter), limit)));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::reject_of(rows, i));
    return records;
}

Result<int64_t> Ledger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    PN_TRY(auto connection, open());
    auto aside = [](const Path& file) { return Path(file.string() + ".tmp"); };
    PN_TRY(auto files, mark_rejects(connection, root_, filter, resolution, at, aside));
    int64_t marked = 0;
    for (const auto& file : files) {
        PN_CHECK(sync(file.copy));
        PN_CHECK(move_path(file.copy, file.file));
        PN_CHECK(sync(file.file.parent_path()));
        marked += file.marked;
    }
    return marked;
}

Result<std::vector<flow::SchemaRecord>> Ledger::schema_history(std::string_view table) {
    std::vector<flow::SchemaRecord> records;
    std::string from = bookkeeping_files(root_, "schema_registry");
    if (from.empty()) return records;
    PN_TRY(auto connection, open());
    std::string where = table.empty() ? "true" : fmt::format("\"table\" = {}", quote_literal(table));
    PN_TRY(auto rows,
           connection.query(fmt::format(
               "SELECT \"table\", version, columns, \"column\", change, decision, sql, epoch_us(first_seen_at) "
               "FROM {} WHERE {} ORDER BY \"table\", first_seen_at, version, \"column\" NULLS FIRST",
               from, where)));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::schema_of(rows, i));
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
