#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/step.h"
#include "engine/database.h"
#include "flow/wrapped_source.h"
#include "transform/steps/lookups.h"
#include "transform/steps/stages.h"

namespace penstock::steps {

/// A source whose tables have been through the steps: whoever looks at it sees their columns after them, and rows come out of its
/// scans as the steps leave them. All else is the inner source's. The steps must outlive it.
class SteppedSource : public flow::WrappedSource {
  public:
    SteppedSource(std::unique_ptr<flow::Source> inner, const std::vector<config::Located<config::Step>>& steps,
                  std::filesystem::path directory, uint64_t memory_bytes)
        : flow::WrappedSource(std::move(inner)),
          steps_(steps),
          directory_(std::move(directory)),
          memory_bytes_(memory_bytes) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;

  private:
    const std::vector<config::Located<config::Step>>& steps_;
    std::filesystem::path directory_;
    uint64_t memory_bytes_;
    std::optional<engine::Database> database_;
    std::optional<Lookups> lookups_;
    std::vector<Stages> tables_;
    std::map<size_t, flow::ScanContext> contexts_;
};

}  // namespace penstock::steps
