#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace penstock::app {

/// Takes metrics, families one after the other, each with its samples; in Prometheus' form (exposition.h) or OpenTelemetry's
/// (telemetry/).
class MetricsWriter {
  public:
    using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

    virtual ~MetricsWriter() = default;
    /// `type` is counter, gauge or histogram.
    virtual void family(std::string_view name, std::string_view type, std::string_view help) = 0;
    /// Of the family begun last; `suffix` is "", or one of a histogram's: _bucket, with bounds (`le`) that rise, then _sum, then
    /// _count.
    virtual void sample(const Labels& labels, double value, std::string_view suffix = "") = 0;
};

}  // namespace penstock::app
