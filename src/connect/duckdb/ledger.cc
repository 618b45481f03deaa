#include "connect/duckdb/ledger.h"

#include <memory>
#include <system_error>

#include "connect/duckdb/validations.h"

namespace penstock::duckdb {

Result<std::optional<engine::Connection>> Ledger::open(bool read_only) const {
    std::optional<engine::Connection> connection;
    std::error_code ignored;
    if (!std::filesystem::exists(file_, ignored)) return connection;
    PN_TRY(auto database, engine::Database::open(file_, {.read_only = read_only}));
    PN_TRY(auto opened, database.connect());
    connection.emplace(std::move(opened));
    return connection;
}

Result<std::vector<flow::RejectRecord>> Ledger::rejects(const flow::RejectFilter& filter) {
    PN_TRY(auto connection, open(true));
    if (!connection) return std::vector<flow::RejectRecord>();
    return bookkeeping_.rejects(*connection, filter);
}

Result<int64_t> Ledger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    PN_TRY(auto connection, open(false));
    if (!connection) return 0;
    return bookkeeping_.resolve(*connection, filter, resolution, at);
}

Result<std::vector<flow::SchemaRecord>> Ledger::schema_history(std::string_view table) {
    PN_TRY(auto connection, open(true));
    if (!connection) return std::vector<flow::SchemaRecord>();
    return bookkeeping_.schema_history(*connection, table);
}

Result<std::vector<flow::BatchRecord>> Ledger::checkpoints(std::string_view pipeline) {
    PN_TRY(auto connection, open(true));
    if (!connection) return std::vector<flow::BatchRecord>();
    return bookkeeping_.newest_batches(*connection, pipeline);
}

Result<std::vector<flow::ValidationRecord>> Ledger::validations(std::string_view pipeline, std::string_view run_id) {
    PN_TRY(auto connection, open(true));
    if (!connection) return std::vector<flow::ValidationRecord>();
    return kept_validations(*connection, pipeline, run_id);
}

Status Ledger::add_validations(std::span<const flow::ValidationRecord> records) {
    PN_TRY(auto connection, open(false));
    if (!connection) return {};
    PN_CHECK(connection->execute("BEGIN TRANSACTION"));
    PN_CHECK(keep_validations(*connection, records));
    PN_CHECK(connection->execute("COMMIT"));
    return {};
}

Result<std::optional<flow::AskedTable>> Ledger::asked(const std::string& table) {
    PN_TRY(auto opened, open(true));
    if (!opened) return std::optional<flow::AskedTable>();
    auto connection = std::make_shared<engine::Connection>(std::move(*opened));
    PN_TRY(auto answer, asked_table(*connection, table));
    if (answer) answer->ask = [connection, ask = std::move(answer->ask)](const std::string& sql) { return ask(sql); };
    return answer;
}

}  // namespace penstock::duckdb
