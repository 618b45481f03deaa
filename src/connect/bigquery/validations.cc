#include "connect/bigquery/validations.h"

#include <fmt/format.h>

#include "connect/bigquery/bookkeeping.h"
#include "connect/bigquery/target_table.h"

namespace penstock::bigquery {
namespace {

constexpr const char* table_name = "validation_results";
constexpr const char* asking = "ask what a check asks";

const std::vector<Column>& result_columns() {
    static const auto all = [] {
        std::vector<Column> made;
        for (auto [name, type] : {std::pair{"pipeline", "STRING"},
                                  {"run_id", "STRING"},
                                  {"table", "STRING"},
                                  {"target", "STRING"},
                                  {"check", "STRING"},
                                  {"expectation", "STRING"},
                                  {"column", "STRING"},
                                  {"rows", "STRING"},
                                  {"severity", "STRING"},
                                  {"on_fail", "STRING"},
                                  {"success", "BOOL"},
                                  {"observed", "STRING"},
                                  {"element_count", "INT64"},
                                  {"unexpected_count", "INT64"},
                                  {"unexpected_sample", "STRING"},
                                  {"kwargs", "STRING"},
                                  {"result", "STRING"},
                                  {"published", "BOOL"},
                                  {"evaluated_at", "TIMESTAMP"}})
            made.push_back({.name = name, .type = type});
        return made;
    }();
    return all;
}

std::string row_of(const flow::ValidationRecord& record) {
    const auto& one = record.validation;
    return fmt::format("({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, TIMESTAMP_MICROS({}))",
                       text_or_null(record.pipeline), text_or_null(record.run_id), text_or_null(one.table),
                       text_or_null(one.target), text_or_null(one.check), text_or_null(one.expectation),
                       text_or_null(one.column), text_or_null(one.rows), text_or_null(one.severity),
                       text_or_null(one.on_fail), one.success ? "TRUE" : "FALSE", text_or_null(one.observed),
                       one.element_count, one.unexpected_count, text_or_null(one.unexpected_sample),
                       text_or_null(one.kwargs), text_or_null(one.result), record.published ? "TRUE" : "FALSE",
                       one.evaluated_at.time_since_epoch().count());
}

/// What an SQL type of BigQuery's means to a check; others are text to it.
data::Type type_of(const Column& column) {
    using data::Kind;
    auto is = [&](const char* name) { return column.type == name; };
    if (is("INT64") || is("INTEGER")) return data::scalar(Kind::int64);
    if (is("FLOAT64") || is("FLOAT")) return data::scalar(Kind::float64);
    if (column.type.starts_with("NUMERIC") || column.type.starts_with("BIGNUMERIC")) return data::decimal(38, 9);
    if (is("BOOL") || is("BOOLEAN")) return data::scalar(Kind::boolean);
    if (is("DATE")) return data::scalar(Kind::date);
    if (is("TIME")) return data::scalar(Kind::time);
    if (is("DATETIME")) return data::scalar(Kind::timestamp);
    if (is("TIMESTAMP")) return data::scalar(Kind::timestamptz);
    return data::scalar(Kind::text);
}

}  // namespace

Status make_validations_table(Client& client) {
    PN_CHECK(make_table(client, {.id = client.bookkeeping(table_name),
                                 .columns = result_columns(),
                                 .clustering = {"pipeline"},
                                 .description = "Penstock's bookkeeping"}));
    return {};
}

std::string add_validations(Client& client, std::span<const flow::ValidationRecord> records) {
    std::vector<std::string> names;
    for (const auto& column : result_columns()) names.push_back(column.name);
    std::string rows;
    for (const auto& record : records) rows += (rows.empty() ? "" : ", ") + row_of(record);
    return fmt::format("INSERT INTO {} ({}) VALUES {}", client.bookkeeping(table_name).quoted(), quote_list(names),
                       rows);
}

Result<std::vector<flow::ValidationRecord>> kept_validations(Client& client, Jobs& jobs, std::string_view pipeline,
                                                             std::string_view run_id) {
    std::vector<flow::ValidationRecord> records;
    auto id = client.bookkeeping(table_name);
    PN_TRY(auto found, look_at(client, id));
    if (!found.exists) return records;
    PN_TRY(auto rows,
           jobs.select({.sql = fmt::format(
                            "SELECT pipeline, run_id, `table`, target, `check`, expectation, `column`, `rows`, "
                            "severity, on_fail, CAST(success AS INT64), observed, element_count, unexpected_count, "
                            "unexpected_sample, kwargs, result, CAST(published AS INT64), "
                            "UNIX_MICROS(evaluated_at) FROM {} WHERE ({} = '' OR pipeline = {}) AND "
                            "({} = '' OR run_id = {}) ORDER BY evaluated_at",
                            id.quoted(), quote_literal(pipeline), quote_literal(pipeline), quote_literal(run_id),
                            quote_literal(run_id)),
                        .what = "read what checks have found"}));
    for (size_t i = 0; i < rows.rows.size(); ++i) records.push_back(flow::validation_of(rows, i));
    return records;
}

Result<std::optional<flow::AskedTable>> asked_table(Client& client, Jobs& jobs, const std::string& name) {
    auto id = TableId::parse(client.options().project.value, name);
    PN_TRY(auto found, look_at(client, id));
    if (!found.exists) return std::optional<flow::AskedTable>();
    flow::AskedTable asked{.dialect = "bigquery", .name = id.quoted(), .schema = {}, .ask = {}};
    for (const auto& column : found.columns)
        asked.schema.fields.push_back({.name = column.name, .type = type_of(column)});
    asked.ask = [&jobs](const std::string& sql) -> Result<flow::TextRows> {
        PN_TRY(auto rows, jobs.select({.sql = sql, .what = asking}));
        return std::move(rows.rows);
    };
    asked.price = [&client, &jobs](const std::string& sql) -> Result<flow::Charge> {
        PN_TRY(int64_t bytes, jobs.estimate({.sql = sql, .what = asking}));
        auto tebibytes = static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 40);
        return flow::Charge{.bytes_billed = bytes, .usd = tebibytes * client.options().usd_per_tib};
    };
    return std::optional(std::move(asked));
}

}  // namespace penstock::bigquery
