#include <map>

#include "app/for_each.h"
#include "connect/mysql/jobs.h"
#include "connect/mysql/options.h"

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

Status JobTables::end(const config::PipelineConfig& pipeline, const flow::RunResult& result) {
    if (!pipeline.jobs) return {};
    PN_TRY(auto* jobs, opened_->of(document_, *pipeline.jobs));
    return jobs->end(organization_of(pipeline), result);
}

}  // namespace penstock::app
