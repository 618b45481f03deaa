#include "transform/steps/query_stage.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/json_value.h"
#include "engine/sql.h"
#include "transform/steps/info_after.h"
#include "transform/steps/stepped_scan.h"

namespace penstock::steps {
namespace {

using engine::quote_identifier;
using engine::quote_literal;

std::string query_over(const std::string& rows, const std::string& query) {
    return fmt::format("WITH batch AS ({}\n) SELECT * FROM ({}\n)", rows, query);
}

Error refused(const StepSql& step, const flow::TableInfo& info, const Error& error) {
    return {.kind = ErrorKind::configuration,
            .code = "step_refused",
            .message = fmt::format("the step `{}` does not go with {}: {}", step.name, info.name, error.message),
            .where = step.place,
            .hint = "it is DuckDB's SQL over the table `batch`, which has the columns that the steps before it give"};
}

}  // namespace

Result<std::unique_ptr<Stage>> QueryStage::plan(Steps steps, const flow::TableInfo& info, engine::Database& database) {
    std::unique_ptr<QueryStage> made(new QueryStage(info, database));
    PN_CHECK(check_names(info, steps.front()->place.text()));
    PN_TRY(auto connection, database.connect());
    PN_TRY(auto session, engine::BatchSession::open(database, made->before_.schema));
    for (const auto* step : steps) PN_CHECK(made->add(*step, *session, connection));
    return made;
}

std::string QueryStage::nested(const std::string& query) const {
    if (queries_.empty()) return query_over(fmt::format("SELECT * FROM {}", engine::BatchSession::batch_rows), query);
    return query_over(queries_.back(), query);
}

Status QueryStage::add(const config::Located<config::Step>& step, engine::BatchSession& session,
                       engine::Connection& connection) {
    PN_TRY(auto made, step_sql(step, after_, connection));
    std::string query = nested(made.query);
    auto columns = session.describe(query);
    if (!columns) return fail(refused(made, before_, columns.error()));
    PN_TRY(after_, info_after(after_, made, *columns));
    hide(made.concealed, steps_.size());
    queries_.push_back(std::move(query));
    steps_.push_back(std::move(made));
    return {};
}

void QueryStage::conceal(const std::vector<std::string>& columns) { hide(columns, steps_.size()); }

/// Names the columns of before() behind those that are not to be seen before a step. What a query made of others may hold any of
/// them.
void QueryStage::hide(const std::vector<std::string>& columns, size_t before_step) {
    for (const auto& hidden : columns) {
        std::string name = hidden;
        bool known = true;
        for (size_t at = before_step; known && at-- > 0;) {
            const auto& step = steps_[at];
            auto same = step.same.find(name);
            known = same != step.same.end() || std::ranges::find(step.replaced, name) != step.replaced.end();
            if (same != step.same.end()) name = same->second;
        }
        if (known) concealed_.push_back(name);
        else
            for (const auto& field : before_.schema.fields) concealed_.push_back(field.name);
    }
    std::ranges::sort(concealed_);
    auto repeated = std::ranges::unique(concealed_);
    concealed_.erase(repeated.begin(), repeated.end());
}

std::unique_ptr<flow::Scan> QueryStage::wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) {
    return std::make_unique<SteppedScan>(std::move(rows), *this, database_, context);
}

std::string QueryStage::payload_query() const {
    auto hidden = [&](const std::string& name) { return std::ranges::binary_search(concealed_, name); };
    std::string row, key;
    for (const auto& field : before_.schema.fields) {
        std::string value = hidden(field.name) ? "'***'" : engine::json_value(field.type, quote_identifier(field.name));
        std::string member = fmt::format("{}, {}", quote_literal(field.name), value);
        row += (row.empty() ? "" : ", ") + member;
        if (std::ranges::find(before_.key, field.name) != before_.key.end()) key += (key.empty() ? "" : ", ") + member;
    }
    if (std::ranges::any_of(before_.key, hidden)) key.clear();
    return fmt::format("SELECT CAST(json_object({}) AS VARCHAR), {} FROM {}", row,
                       key.empty() ? "''" : fmt::format("CAST(json_object({}) AS VARCHAR)", key),
                       engine::BatchSession::batch_rows);
}

QueryStage::Fault QueryStage::fault(engine::BatchSession& session, const data::Block& block, size_t row,
                                    const Error& error) const {
    engine::BatchSession::Range range[] = {{row, 1}};
    size_t at = 0;
    while (at + 1 < steps_.size() && session.run(queries_[at], block, range)) ++at;
    const auto& step = steps_[at];
    Fault fault{.column = "", .reason = fmt::format("{}: {}", step.name, error.message)};
    const std::string rows =
        at == 0 ? fmt::format("SELECT * FROM {}", engine::BatchSession::batch_rows) : queries_[at - 1];
    for (const auto& [column, query] : step.trials) {
        auto tried = session.run(query_over(rows, query), block, range);
        if (tried) continue;
        fault = {.column = column, .reason = fmt::format("{}: {}", step.name, tried.error().message)};
        break;
    }
    // What DuckDB says of a value holds the value.
    if (!concealed_.empty())
        fault.reason = fmt::format(
            "{}: a value does not go through it (it is not shown: steps mask columns of the table)", step.name);
    return fault;
}

}  // namespace penstock::steps
