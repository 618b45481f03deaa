#include "check/staged_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "check/evaluate.h"
#include "engine/error.h"
#include "engine/json_value.h"
#include "engine/scan_function.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::check {
namespace {

using engine::quote_identifier;
using engine::quote_literal;

std::string marked_of(const std::string& table) { return table + "_marked"; }

std::string json_object(const flow::TableInfo& info, bool key_only) {
    std::string members;
    for (const auto& field : info.schema.fields) {
        if (key_only && std::ranges::find(info.key, field.name) == info.key.end()) continue;
        members += fmt::format("{}{}, {}", members.empty() ? "" : ", ", quote_literal(field.name),
                               engine::json_value(field.type, quote_identifier(field.name)));
    }
    return members.empty() ? "''" : fmt::format("CAST(json_object({}) AS VARCHAR)", members);
}

std::string new_table_name() {
    static std::atomic<uint64_t> numbers = 0;
    return fmt::format("penstock_checked_{}", ++numbers);
}

Error refused_anyhow(const Error& error, const Expectation& expectation) {
    return mistake(expectation.place, "check_refused",
                   fmt::format("the check `{}` cannot be asked: {}", expectation.title(), error.message),
                   "it is DuckDB's SQL over the columns that the rows have after the steps");
}

/// What DuckDB says of an expression of the user's is a mistake in the configuration, but where it is about values.
Error of_check(Error error, const Expectation& expectation) {
    bool of_values = error.message.starts_with("Conversion Error") ||
                     error.message.starts_with("Invalid Input Error") ||
                     error.message.starts_with("Out of Range Error");
    if (of_values) {
        error.kind = ErrorKind::data;
        return error;
    }
    if (error.code != "duckdb_refused") return error;
    return refused_anyhow(error, expectation);
}

}  // namespace

StagedRows::StagedRows(engine::Connection connection, const flow::TableInfo& info, std::string table)
    : connection_(std::move(connection)), info_(info), table_(std::move(table)) {}

StagedRows::~StagedRows() {
    if (reading_) duckdb_destroy_result(&rows_);
    for (const auto& table : {table_, marked_of(table_)}) {
        auto dropped = connection_.execute("DROP TABLE IF EXISTS " + table);
        if (!dropped) log::debug("{} stays until the run's end: {}", table, dropped.error().message);
    }
}

Result<std::unique_ptr<StagedRows>> StagedRows::fill(engine::Database& database, flow::Scan& scan,
                                                     const flow::TableInfo& info, const flow::ScanContext& context) {
    PN_TRY(auto connection, database.connect(context.stop));
    std::unique_ptr<StagedRows> staged(new StagedRows(std::move(connection), info, new_table_name()));
    engine::LentScan lent(database, scan, info.estimated_rows);
    auto pulled =
        staged->connection_.execute(fmt::format("CREATE TABLE {} AS SELECT * FROM {}", staged->table_, lent.sql()));
    if (!pulled) return fail(lent.original(std::move(pulled.error())));
    return staged;
}

Result<std::unique_ptr<StagedRows>> StagedRows::none(engine::Database& database, const flow::TableInfo& info) {
    PN_TRY(auto connection, database.connect());
    std::unique_ptr<StagedRows> staged(new StagedRows(std::move(connection), info, new_table_name()));
    std::string columns;
    for (const auto& field : info.schema.fields)
        columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", quote_identifier(field.name),
                               engine::sql_type(field.type));
    PN_CHECK(staged->connection_.execute(fmt::format("CREATE TABLE {} ({})", staged->table_, columns)));
    return staged;
}

flow::AskedTable StagedRows::asked() {
    return {.dialect = "duckdb",
            .name = table_,
            .schema = info_.schema,
            .ask = [this](const std::string& sql) -> Result<flow::TextRows> {
                PN_TRY(auto answer, connection_.query(sql));
                return std::move(answer.rows);
            }};
}

Status StagedRows::try_out(const std::vector<Expectation>& expectations) {
    auto table = asked();
    for (const auto& expectation : expectations) {
        auto current = table;
        current.ask = [&](const std::string& sql) -> Result<flow::TextRows> {
            auto answer = table.ask(sql);
            if (!answer) return fail(refused_anyhow(std::move(answer.error()), expectation));
            return answer;
        };
        PN_CHECK(check::try_out(expectation, current));
    }
    return {};
}

Status StagedRows::check(const std::vector<Expectation>& expectations, const Reference& reference,
                         const std::string& reads, const flow::ScanContext& context, flow::ValidationLog* log) {
    auto table = asked();
    table.reads = reads;
    auto known = reference.of(info_.name, context.stop);
    std::vector<std::string> failed;
    std::string first;
    for (const auto& expectation : expectations) {
        auto current = table;
        current.ask = [&](const std::string& sql) -> Result<flow::TextRows> {
            auto answer = table.ask(sql);
            if (!answer) return fail(of_check(std::move(answer.error()), expectation));
            return answer;
        };
        PN_TRY(auto validation, evaluate(expectation, current, known));
        if (!validation.success) {
            auto words = in_words(validation);
            bool reject = expectation.on_fail == OnFail::reject && validation.unexpected_count > 0;
            if (reject) PN_CHECK(mark_rejects(expectation, validation));
            else if (expectation.on_fail == OnFail::warn) log::warning("check of {}: {}", info_.name, words);
            else failed.push_back(words);
            if (first.empty() && !failed.empty()) first = expectation.place.text();
        }
        validation.table = info_.name;
        if (log != nullptr) log->add(std::move(validation));
    }
    if (!failed.empty()) return fail(checks_failed(info_.name, failed, first, "nothing was published"));
    return any_marked_ ? reject_marked(context) : Status();
}

Status StagedRows::mark_rejects(const Expectation& expectation, const flow::Validation& validation) {
    if (!any_marked_)
        PN_CHECK(connection_.execute(
            fmt::format("CREATE TABLE {} (row_id BIGINT, column_name VARCHAR, reason VARCHAR)", marked_of(table_))));
    any_marked_ = true;
    PN_TRY(auto rows, rows_at_fault(expectation, asked(), "rowid"));
    std::string reason = fmt::format("check {}", validation.check);
    PN_CHECK(connection_.execute(fmt::format("INSERT INTO {} SELECT q.*, {}, {} FROM ({}) AS q", marked_of(table_),
                                             quote_literal(validation.column), quote_literal(reason), rows)));
    return {};
}

Status StagedRows::reject_marked(const flow::ScanContext& context) {
    auto sql = fmt::format(
        "SELECT {}, {}, m.column_name, m.reason FROM {} AS S JOIN (SELECT row_id, first(column_name ORDER BY reason) "
        "AS "
        "column_name, string_agg(reason, '; ' ORDER BY reason) AS reason FROM {} GROUP BY row_id) AS m ON S.rowid = "
        "m.row_id "
        "ORDER BY S.rowid",
        json_object(info_, false), json_object(info_, true), table_, marked_of(table_));
    PN_TRY(auto rows, connection_.query(sql));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        context.progress.rows_rejected += 1;
        PN_CHECK(context.rejects.add({.table = info_.name,
                                      .source_position = "",
                                      .key = rows.text(i, 1),
                                      .column = rows.text(i, 2),
                                      .code = rejected_code,
                                      .reason = rows.text(i, 3),
                                      .payload = rows.text(i, 0),
                                      .received_at = now()}));
    }
    return {};
}

Result<duckdb_data_chunk> StagedRows::next() {
    if (!reading_) {
        std::string sql = "SELECT * FROM " + table_;
        if (any_marked_) sql += fmt::format(" WHERE rowid NOT IN (SELECT row_id FROM {})", marked_of(table_));
        duckdb_prepared_statement statement = nullptr;
        auto state = duckdb_prepare(connection_.native(), sql.c_str(), &statement);
        if (state == DuckDBSuccess) state = duckdb_execute_prepared_streaming(statement, &rows_);
        reading_ = state == DuckDBSuccess;
        Status status;
        if (!reading_) {
            const char* message = statement == nullptr ? nullptr : duckdb_result_error(&rows_);
            status = fail(
                engine::error_from(DUCKDB_ERROR_INVALID, message == nullptr ? "rows cannot be read back" : message));
            duckdb_destroy_result(&rows_);
        }
        duckdb_destroy_prepare(&statement);
        PN_CHECK(std::move(status));
    }
    duckdb_data_chunk chunk = duckdb_fetch_chunk(rows_);
    if (chunk != nullptr) return chunk;
    if (const char* message = duckdb_result_error(&rows_); message != nullptr && *message != 0)
        return fail(engine::error_from(DUCKDB_ERROR_INVALID, message));
    return chunk;
}

}  // namespace penstock::check
