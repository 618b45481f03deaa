#include "connect/bigquery/comparison.h"

#include <fmt/format.h>

#include "connect/bigquery/jobs.h"
#include "connect/bigquery/ledger.h"
#include "connect/bigquery/sql.h"
#include "connect/bigquery/target_table.h"

namespace penstock::bigquery {
namespace {

using data::Kind;

/// "Format elements for date and time parts": %E4Y has four digits, %E*S all of the fraction and no zeros behind it.
constexpr const char* day_format = "%E4Y-%m-%d";
constexpr const char* moment_format = "%E4Y-%m-%d %H:%M:%E*S";

class ComparedTables : public flow::ComparedTarget {
  public:
    ComparedTables(std::unique_ptr<Client> client, const std::string& pipeline, std::shared_ptr<flow::Purse> purse)
        : client_(std::move(client)), jobs_(*client_, job_labels(client_->options(), pipeline, ""), std::move(purse)) {}

    Result<std::optional<flow::ComparedTable>> table(const std::string& name) override {
        auto id = TableId::parse(client_->options().project.value, name);
        PN_TRY(auto found, look_at(*client_, id));
        if (!found.exists) return std::optional<flow::ComparedTable>();
        flow::ComparedTable table{.dialect = "bigquery", .from = id.quoted(), .ask = {}};
        for (const auto& column : found.columns) table.columns.push_back(compared_column(column));
        table.ask = [this](const std::string& sql) -> Result<flow::TextRows> {
            PN_TRY(auto rows, jobs_.select({.sql = sql, .what = "compare with the source"}));
            return std::move(rows.rows);
        };
        return std::optional(std::move(table));
    }

    flow::Spending spent() const override { return jobs_.spent(); }

  private:
    std::unique_ptr<Client> client_;
    Jobs jobs_;
};

}  // namespace

flow::ComparedColumn compared_column(const Column& column) {
    std::string value = quote_identifier(column.name);
    auto as = [&](data::Type type, std::string text) {
        return flow::ComparedColumn{.name = column.name, .type = std::move(type), .text = std::move(text)};
    };
    auto cast = [&](Kind kind) { return as(data::scalar(kind), fmt::format("CAST({} AS STRING)", value)); };
    auto is = [&](std::string_view type) { return !column.repeated && column.type == type; };
    if (is("BOOL")) return cast(Kind::boolean);
    if (is("INT64")) return cast(Kind::int64);
    if (is("NUMERIC")) return as(data::decimal(38, 9), fmt::format("CAST({} AS STRING)", value));
    if (is("BIGNUMERIC")) return as(data::decimal(38, 38), fmt::format("CAST({} AS STRING)", value));
    if (is("STRING")) return as(data::scalar(Kind::text), value);
    if (is("BYTES")) return as(data::scalar(Kind::bytes), fmt::format("TO_HEX({})", value));
    if (is("DATE")) return as(data::scalar(Kind::date), fmt::format("FORMAT_DATE('{}', {})", day_format, value));
    if (is("TIME")) return as(data::scalar(Kind::time), fmt::format("FORMAT_TIME('%H:%M:%E*S', {})", value));
    if (is("DATETIME"))
        return as(data::scalar(Kind::timestamp), fmt::format("FORMAT_DATETIME('{}', {})", moment_format, value));
    if (is("TIMESTAMP"))
        return as(data::scalar(Kind::timestamptz),
                  fmt::format("FORMAT_TIMESTAMP('{}+00', {}, 'UTC')", moment_format, value));
    if (is("FLOAT64"))
        return as(data::scalar(Kind::float64),
                  fmt::format("CASE WHEN IS_NAN({0}) THEN 'NaN' WHEN IS_INF({0}) THEN IF({0} > 0, 'Infinity', "
                              "'-Infinity') WHEN {0} = 0 THEN '0.0000000000000000e+00' ELSE FORMAT('%.16e', {0}) END",
                              value));
    return {.name = column.name,
            .type = data::scalar(Kind::text),
            .not_compared = fmt::format("BigQuery keeps {} in a form of its own", sql_type(column))};
}

std::unique_ptr<flow::ComparedTarget> compare(std::unique_ptr<Client> client, const std::string& pipeline,
                                              std::shared_ptr<flow::Purse> purse) {
    return std::make_unique<ComparedTables>(std::move(client), pipeline, std::move(purse));
}

}  // namespace penstock::bigquery
