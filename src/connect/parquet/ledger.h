#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connect/parquet/storage.h"
#include "engine/database.h"
#include "flow/ledger.h"

namespace penstock::parquet {

/// Reads what runs left under `_penstock/`; nothing there is an empty answer. A reject that is dealt with is marked in its
/// file, which is written anew and renamed into place.
class Ledger final : public flow::Ledger {
  public:
    explicit Ledger(Path root) : root_(std::move(root)) {}

    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter) override;
    Result<int64_t> resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) override;
    Result<std::vector<flow::SchemaRecord>> schema_history(std::string_view table) override;
    Result<std::vector<flow::BatchRecord>> checkpoints(std::string_view pipeline) override;

  private:
    Result<engine::Connection> open();
    std::optional<engine::Database> database_;
    Path root_;
};

}  // namespace penstock::parquet
