#include "connect/bigquery/ledger.h"

#include "connect/bigquery/validations.h"

namespace penstock::bigquery {

std::map<std::string, std::string> job_labels(const ConnectionOptions& options, const std::string& pipeline,
                                              const std::string& run_id) {
    auto labels = options.labels;
    labels["penstock_pipeline"] = label_value(pipeline);
    if (!run_id.empty()) labels["penstock_run"] = label_value(run_id);
    return labels;
}

Ledger::Ledger(std::unique_ptr<Client> client, std::string pipeline)
    : client_(std::move(client)),
      jobs_(*client_, job_labels(client_->options(), pipeline, "")),
      bookkeeping_(*client_, jobs_) {}

Result<std::vector<flow::RejectRecord>> Ledger::rejects(const flow::RejectFilter& filter) {
    return bookkeeping_.rejects(filter);
}

Result<int64_t> Ledger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    return bookkeeping_.resolve(filter, resolution, at);
}

Result<std::vector<flow::SchemaRecord>> Ledger::schema_history(std::string_view table) {
    return bookkeeping_.schema_history(table);
}

Result<std::vector<flow::BatchRecord>> Ledger::checkpoints(std::string_view pipeline) {
    return bookkeeping_.newest_batches(pipeline);
}

Result<std::vector<flow::ValidationRecord>> Ledger::validations(std::string_view pipeline, std::string_view run_id) {
    return kept_validations(*client_, jobs_, pipeline, run_id);
}

Status Ledger::add_validations(std::span<const flow::ValidationRecord> records) {
    PN_CHECK(make_validations_table(*client_));
    PN_CHECK(jobs_.run({.sql = bigquery::add_validations(*client_, records), .what = "keep what checks have found"}));
    return {};
}

Result<std::optional<flow::AskedTable>> Ledger::asked(const std::string& table) {
    return asked_table(*client_, jobs_, table);
}

}  // namespace penstock::bigquery
