#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flow/source.h"

namespace penstock::steps {

/// One or several steps of one table that a scan of its own does. Planned before any row is read; from then on only what it says
/// itself changes. Outlives its scans.
class Stage {
  public:
    virtual ~Stage() = default;
    virtual const flow::TableInfo& before() const = 0;
    /// The table as it is afterwards.
    virtual const flow::TableInfo& after() const = 0;
    /// Columns of before() whose values nothing that people see may show: a step here or behind masks or drops them.
    virtual const std::vector<std::string>& concealed() const = 0;
    /// While stages are planned, from the last one backwards: these columns of after() are such ones.
    virtual void conceal(const std::vector<std::string>& columns) = 0;
    /// The scan's rows as the stage leaves them. Rows left out are told to the context's progress as filtered.
    virtual std::unique_ptr<flow::Scan> wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) = 0;
};

}  // namespace penstock::steps
