#include <fmt/format.h>

#include <chrono>
#include <map>

#include "app/for_each.h"
#include "connect/mysql/jobs.h"
#include "connect/mysql/options.h"
#include "connect/mysql/table.h"

namespace penstock::app {
namespace {

const std::string& organization_of(const config::PipelineConfig& pipeline) {
    return pipeline.organization.empty() ? pipeline.name : pipeline.organization;
}

}  // namespace

struct JobTables::Opened {
    std::map<std::pair<std::string, std::string>, std::unique_ptr<mysql::Jobs>> jobs;

    Result<mysql::Jobs*> of(const config::Document& document, const config::JobTable& table) {
        auto& found = jobs[{table.connection.value, table.table.value}];
        if (found != nullptr) return found.get();
        PN_TRY(auto place,
               mysql::parse_connection(document.connection(table.connection.value)->options, document.directory));
        PN_TRY(found, mysql::Jobs::open(place, table.table.value));
        return found.get();
    }
};

JobTables::JobTables(const config::Document& document) : document_(document), opened_(std::make_unique<Opened>()) {}
JobTables::~JobTables() = default;

Status JobTables::begin(const config::PipelineConfig& pipeline, const flow::RunIdentity& run) {
    if (!pipeline.jobs) return {};
    PN_TRY(auto* jobs, opened_->of(document_, *pipeline.jobs));
    return jobs->begin(organization_of(pipeline), run.run_id);
}

/// The row of `for_each` says when it was last run well.
Status JobTables::note_success(const config::PipelineConfig& pipeline, const flow::RunResult& result) {
    const auto& each = *pipeline.row_of;
    PN_TRY(auto place,
           mysql::parse_connection(document_.connection(each.connection.value)->options, document_.directory));
    PN_TRY(auto tables, mysql::Tables::open(place));
    auto time = fmt::format("{:.6f}", std::chrono::duration<double>(result.started_at.time_since_epoch()).count());
    // Never back: runs may be recorded late.
    return tables->execute(
        fmt::format(
            "UPDATE {0} SET {1} = from_unixtime(:v0) WHERE {2} = :v1 AND ({1} IS NULL OR {1} < from_unixtime(:v2))",
            mysql::quote_table(each.table.value), mysql::quote_name(each.last_success.value),
            mysql::quote_name(each.key.empty() ? "organization_id" : each.key.value)),
        {time, pipeline.organization, time});
}

Status JobTables::end(const config::PipelineConfig& pipeline, const flow::RunResult& result) {
    if (pipeline.jobs) {
        PN_TRY(auto* jobs, opened_->of(document_, *pipeline.jobs));
        PN_CHECK(jobs->end(organization_of(pipeline), result));
    }
    bool succeeded = result.status == flow::RunStatus::success;
    if (!succeeded || !pipeline.row_of || pipeline.row_of->last_success.empty()) return {};
    return note_success(pipeline, result);
}

}  // namespace penstock::app
