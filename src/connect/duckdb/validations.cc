#include "connect/duckdb/validations.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "connect/duckdb/bookkeeping.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::duckdb {
namespace {

using engine::Value;

constexpr const char* create_statement = R"(
CREATE SCHEMA IF NOT EXISTS penstock;
CREATE TABLE IF NOT EXISTS penstock.validation_results (
    pipeline VARCHAR, run_id VARCHAR, "table" VARCHAR, target VARCHAR, "check" VARCHAR, expectation VARCHAR, "column" VARCHAR,
    "rows" VARCHAR, severity VARCHAR, on_fail VARCHAR, success BOOLEAN, observed VARCHAR, element_count BIGINT,
    unexpected_count BIGINT, unexpected_sample VARCHAR, kwargs VARCHAR, result VARCHAR, published BOOLEAN,
    evaluated_at TIMESTAMPTZ))";

/// As flow::validation_of wants them.
constexpr const char* read_columns =
    "pipeline, run_id, \"table\", target, \"check\", expectation, \"column\", \"rows\", severity, on_fail, "
    "CAST(success AS INTEGER), observed, element_count, unexpected_count, unexpected_sample, kwargs, result, "
    "CAST(published AS INTEGER), epoch_us(evaluated_at)";

Value truth(bool value) { return value ? "true" : "false"; }

}  // namespace

Status keep_validations(engine::Connection& connection, std::span<const flow::ValidationRecord> records) {
    PN_CHECK(connection.execute(create_statement));
    PN_TRY(auto appender, engine::Appender::open(connection, "penstock", "validation_results"));
    for (const auto& [pipeline, run_id, published, one] : records) {
        std::vector<Value> row = {pipeline,
                                  run_id,
                                  one.table,
                                  one.target,
                                  one.check,
                                  one.expectation,
                                  or_null(one.column),
                                  one.rows,
                                  one.severity,
                                  one.on_fail,
                                  truth(one.success),
                                  or_null(one.observed),
                                  std::to_string(one.element_count),
                                  std::to_string(one.unexpected_count),
                                  or_null(one.unexpected_sample),
                                  or_null(one.kwargs),
                                  or_null(one.result),
                                  truth(published),
                                  iso_time(one.evaluated_at)};
        PN_CHECK(appender.append(row));
    }
    return appender.close();
}

Result<std::vector<flow::ValidationRecord>> kept_validations(engine::Connection& connection, std::string_view pipeline,
                                                             std::string_view run_id) {
    std::vector<flow::ValidationRecord> records;
    PN_TRY(auto there, connection.query("SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() AND "
                                        "schema_name = 'penstock' AND table_name = 'validation_results'"));
    if (there.empty()) return records;
    std::vector<Value> which = {std::string(pipeline), std::string(run_id)};
    PN_TRY(auto rows,
           connection.query(fmt::format("SELECT {} FROM penstock.validation_results WHERE ($1 = '' OR pipeline = $1) "
                                        "AND ($2 = '' OR run_id = $2) ORDER BY evaluated_at, rowid",
                                        read_columns),
                            which));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::validation_of(rows, i));
    return records;
}

Result<std::optional<flow::AskedTable>> asked_table(engine::Connection& connection, const std::string& name) {
    auto table = engine::TableName::parse(name);
    std::vector<engine::Value> which = {table.schema, table.table};
    PN_TRY(auto there,
           connection.query("SELECT 1 FROM information_schema.tables WHERE table_catalog = current_database() AND "
                            "table_schema = $1 AND table_name = $2",
                            which));
    if (there.empty()) return std::optional<flow::AskedTable>();
    flow::AskedTable asked{.dialect = "duckdb", .name = table.quoted(), .schema = {}, .ask = {}};
    PN_TRY(auto columns, engine::columns_of(connection, "SELECT * FROM " + asked.name));
    for (auto& column : columns)
        asked.schema.fields.push_back(
            {.name = column.name, .type = column.type.value_or(data::scalar(data::Kind::text))});
    asked.ask = [&connection](const std::string& sql) -> Result<flow::TextRows> {
        PN_TRY(auto answer, connection.query(sql));
        return std::move(answer.rows);
    };
    return std::optional(std::move(asked));
}

}  // namespace penstock::duckdb
