#pragma once

#include "config/step.h"
#include "transform/steps/program_process.h"
#include "transform/steps/stage.h"
#include "transform/steps/stages.h"

namespace penstock::steps {

/// Rows go through a program as Arrow streams: one process for each reader of each scan, and one without rows while it is planned,
/// which shows what columns it gives. Rows that it leaves out count as filtered; it cannot give more than it was given.
class Program : public Stage {
  public:
    static Result<std::unique_ptr<Stage>> plan(const config::Located<config::Step>& step, const flow::TableInfo& info,
                                               const Tools& tools);

    const flow::TableInfo& before() const override { return before_; }
    const flow::TableInfo& after() const override { return after_; }
    const std::vector<std::string>& concealed() const override { return concealed_; }
    void conceal(const std::vector<std::string>& columns) override;
    std::unique_ptr<flow::Scan> wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) override;

  private:
    class Scan;
    class Reader;
    Program(ProgramOptions options, const flow::TableInfo& info)
        : options_(std::move(options)), before_(info), after_(info) {}
    Status find_columns(std::stop_token stop);

    ProgramOptions options_;
    flow::TableInfo before_;
    flow::TableInfo after_;
    std::vector<std::string> concealed_;
};

}  // namespace penstock::steps
