#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "connect/duckdb/bookkeeping.h"
#include "engine/database.h"
#include "flow/ledger.h"
#include "flow/validation.h"

namespace penstock::duckdb {

/// Reads a file's bookkeeping. The file is open only during a call, so that a run is never kept out.
class Ledger : public flow::Ledger, public flow::CheckedLedger {
  public:
    explicit Ledger(std::filesystem::path file) : file_(std::move(file)) {}

    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter) override;
    Result<int64_t> resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) override;
    Result<std::vector<flow::SchemaRecord>> schema_history(std::string_view table) override;
    Result<std::vector<flow::BatchRecord>> checkpoints(std::string_view pipeline) override;

    flow::CheckedLedger* checked() override { return this; }
    Result<std::vector<flow::ValidationRecord>> validations(std::string_view pipeline,
                                                            std::string_view run_id) override;
    Status add_validations(std::span<const flow::ValidationRecord> records) override;
    /// The file stays open as long as the answer.
    Result<std::optional<flow::AskedTable>> asked(const std::string& table) override;

  private:
    /// Nothing where the file does not exist.
    Result<std::optional<engine::Connection>> open(bool read_only) const;

    std::filesystem::path file_;
    Bookkeeping bookkeeping_;
};

}  // namespace penstock::duckdb
