#pragma once

#include "config/step.h"
#include "transform/steps/seen_keys.h"
#include "transform/steps/stage.h"

namespace penstock::steps {

/// Of rows with the same key the first goes on. What was seen lives as long as the stage: one attempt of a run.
class Dedupe : public Stage {
  public:
    static Result<std::unique_ptr<Stage>> plan(const config::Located<config::Step>& step, const flow::TableInfo& info);

    const flow::TableInfo& before() const override { return info_; }
    const flow::TableInfo& after() const override { return info_; }
    const std::vector<std::string>& concealed() const override { return concealed_; }
    void conceal(const std::vector<std::string>& columns) override { concealed_ = columns; }
    std::unique_ptr<flow::Scan> wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) override;

  private:
    class Scan;
    class Reader;
    Dedupe(const config::DedupeStep& step, const flow::TableInfo& info)
        : info_(info), seen_(step.within, static_cast<size_t>(step.keys)) {}

    flow::TableInfo info_;
    std::vector<size_t> key_;
    std::vector<std::string> concealed_;
    SeenKeys seen_;
};

}  // namespace penstock::steps
