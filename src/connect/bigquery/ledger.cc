#include "connect/bigquery/ledger.h"

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

}  // namespace penstock::bigquery
