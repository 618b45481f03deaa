#include "app/telemetry/metrics.h"

#include <opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h>

#include <charconv>
#include <cmath>

#include "app/operate/metrics.h"
#include "app/telemetry/otlp.h"
#include "base/version.h"

namespace penstock::app::telemetry {
namespace {

using otlp::metrics::v1::HistogramDataPoint;

/// Of UCUM, by the last words of Prometheus' names.
std::string unit_of(std::string_view name) {
    if (name.ends_with("_total")) name.remove_suffix(6);
    if (name.ends_with("_seconds")) return "s";
    return name.find("bytes") != name.npos ? "By" : "";
}

class Metrics : public MetricsWriter {
  public:
    Metrics(otlp::metrics::v1::ScopeMetrics& into, TimePoint at) : into_(into), at_(nanoseconds(at)) {}

    void family(std::string_view name, std::string_view type, std::string_view help) override {
        metric_ = into_.add_metrics();
        metric_->set_name(std::string(name));
        metric_->set_description(std::string(help));
        metric_->set_unit(unit_of(name));
        point_ = nullptr;
        if (type == "counter") {
            metric_->mutable_sum()->set_is_monotonic(true);
            metric_->mutable_sum()->set_aggregation_temporality(otlp::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE);
        } else if (type == "histogram") {
            metric_->mutable_histogram()->set_aggregation_temporality(
                otlp::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE);
        } else {
            metric_->mutable_gauge();
        }
    }

    void sample(const Labels& labels, double value, std::string_view suffix) override {
        if (metric_->has_histogram()) return histogram(labels, value, suffix);
        auto& point = metric_->has_sum() ? *metric_->mutable_sum()->add_data_points()
                                         : *metric_->mutable_gauge()->add_data_points();
        for (const auto& [name, text] : labels) add_attribute(point, name, text);
        point.set_time_unix_nano(at_);
        if (value == std::floor(value) && std::abs(value) < 1e15) point.set_as_int(static_cast<int64_t>(value));
        else point.set_as_double(value);
    }

  private:
    /// Buckets lie one above the other there and apart here.
    void histogram(const Labels& labels, double value, std::string_view suffix) {
        if (point_ == nullptr) {
            point_ = metric_->mutable_histogram()->add_data_points();
            point_->set_time_unix_nano(at_);
            below_ = 0;
            for (const auto& [name, text] : labels)
                if (name != "le") add_attribute(*point_, name, text);
        }
        if (suffix == "_bucket") {
            auto bound = labels.back().second;
            double number = 0;
            if (std::from_chars(bound.data(), bound.data() + bound.size(), number).ec == std::errc() && bound != "+Inf")
                point_->add_explicit_bounds(number);
            point_->add_bucket_counts(static_cast<uint64_t>(value) -
                                      std::exchange(below_, static_cast<uint64_t>(value)));
        } else if (suffix == "_sum") {
            point_->set_sum(value);
        } else {
            point_->set_count(static_cast<uint64_t>(value));
            point_ = nullptr;  // the last of a pipeline's
        }
    }

    otlp::metrics::v1::ScopeMetrics& into_;
    otlp::metrics::v1::Metric* metric_ = nullptr;
    HistogramDataPoint* point_ = nullptr;
    uint64_t below_ = 0;
    const uint64_t at_;
};

}  // namespace

Result<std::string> metrics_request(const config::Document& document, const Settings& settings, TimePoint at) {
    otlp::collector::metrics::v1::ExportMetricsServiceRequest request;
    auto& resource = *request.add_resource_metrics();
    describe(*resource.mutable_resource(), settings);
    auto& scope = *resource.add_scope_metrics();
    scope.mutable_scope()->set_name("penstock");
    scope.mutable_scope()->set_version(std::string(version));
    Metrics metrics(scope, at);
    PN_CHECK(write_metrics(document, at, metrics));
    return request.SerializeAsString();
}

}  // namespace penstock::app::telemetry
