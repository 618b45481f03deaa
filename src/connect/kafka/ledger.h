#pragma once

#include "connect/kafka/bookkeeping.h"
#include "flow/ledger.h"

namespace penstock::kafka {

/// The bookkeeping topics of a target. Topics have no shape of their own: its schema history is empty.
class Ledger : public flow::Ledger {
  public:
    Ledger(ConnectionOptions connection, BookkeepingTopics topics, std::string pipeline)
        : connection_(std::move(connection)),
          bookkeeping_(connection_, std::move(topics)),
          pipeline_(std::move(pipeline)) {}

    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter) override;
    Result<int64_t> resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) override;
    Result<std::vector<flow::SchemaRecord>> schema_history(std::string_view table) override;
    Result<std::vector<flow::BatchRecord>> checkpoints(std::string_view pipeline) override;

  private:
    ConnectionOptions connection_;
    Bookkeeping bookkeeping_;
    std::string pipeline_;
};

}  // namespace penstock::kafka
