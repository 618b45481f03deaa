#pragma once

#include <memory>

#include "config/step.h"
#include "transform/steps/geo_database.h"
#include "transform/steps/stage.h"

namespace penstock::steps {

/// A column more, at the end: what a database knows of the address in another one.
class Geoip : public Stage {
  public:
    static Result<std::unique_ptr<Stage>> plan(const config::Located<config::Step>& step, const flow::TableInfo& info);

    const flow::TableInfo& before() const override { return before_; }
    const flow::TableInfo& after() const override { return after_; }
    const std::vector<std::string>& concealed() const override { return concealed_; }
    void conceal(const std::vector<std::string>& columns) override;
    std::unique_ptr<flow::Scan> wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) override;

  private:
    class Scan;
    class Reader;
    Geoip(const config::GeoipStep& step, const flow::TableInfo& info) : step_(step), before_(info), after_(info) {}

    const config::GeoipStep& step_;
    flow::TableInfo before_;
    flow::TableInfo after_;
    size_t address_ = 0;  ///< the column
    std::vector<std::string> concealed_;
    std::shared_ptr<const GeoDatabase> database_;
};

}  // namespace penstock::steps
