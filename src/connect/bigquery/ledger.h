#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connect/bigquery/bookkeeping.h"
#include "flow/ledger.h"
#include "flow/validation.h"

namespace penstock::bigquery {

/// Reads and mends what runs wrote beside the data.
class Ledger final : public flow::Ledger, public flow::CheckedLedger {
  public:
    Ledger(std::unique_ptr<Client> client, std::string pipeline);

    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter) override;
    Result<int64_t> resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) override;
    Result<std::vector<flow::SchemaRecord>> schema_history(std::string_view table) override;
    Result<std::vector<flow::BatchRecord>> checkpoints(std::string_view pipeline) override;

    flow::CheckedLedger* checked() override { return this; }
    Result<std::vector<flow::ValidationRecord>> validations(std::string_view pipeline,
                                                            std::string_view run_id) override;
    Status add_validations(std::span<const flow::ValidationRecord> records) override;
    Result<std::optional<flow::AskedTable>> asked(const std::string& table) override;

  private:
    std::unique_ptr<Client> client_;
    Jobs jobs_;
    Bookkeeping bookkeeping_;
};

/// The labels of a pipeline's jobs: the connection's, and whose they are.
std::map<std::string, std::string> job_labels(const ConnectionOptions& options, const std::string& pipeline,
                                              const std::string& run_id);

}  // namespace penstock::bigquery
