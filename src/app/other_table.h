#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "config/document.h"
#include "flow/component.h"
#include "flow/purse.h"

namespace penstock::app {

/// What a check's `same_as` names: one number of a table or query, on any connection that is read by SQL. It is read as a pipeline's
/// source would be, so that time limits, retries of calls, prices and budgets are those of sources.
class OtherTable {
  public:
    enum class Asks { number, any_row };  ///< any_row: 1 where its table has one, else 0

    /// `purse` pays; null where nothing is run. All references are kept.
    OtherTable(const config::Document& document, const config::PipelineConfig& pipeline, const config::Node& same_as,
               std::shared_ptr<flow::Purse> purse, Asks asks = Asks::number);

    /// Whether there is such a connection, and it can be asked. Connects to nobody.
    Status validate() const;
    /// Tells the purse what it would be charged.
    Status price() const;
    Result<double> number(std::stop_token stop) const;

  private:
    Result<std::unique_ptr<flow::Source>> source() const;
    Error not_a_number(const std::string& what) const;

    const config::Document& document_;
    const config::Node& same_as_;
    std::string connection_;
    config::PipelineConfig asking_;
    std::shared_ptr<flow::Purse> purse_;
};

}  // namespace penstock::app
