#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::app::telemetry {

/// Where one kind of signal goes by OTLP over HTTP.
struct Target {
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;  ///< their values are secrets
    std::filesystem::path ca;
    std::chrono::milliseconds timeout = std::chrono::seconds(10);
};

/// What OpenTelemetry's variables say: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _CERTIFICATE, _TIMEOUT and the same with TRACES_ or
/// METRICS_, OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER (none), OTEL_SDK_DISABLED, OTEL_SERVICE_NAME,
/// OTEL_RESOURCE_ATTRIBUTES, OTEL_METRIC_EXPORT_INTERVAL. Nothing goes anywhere unless an endpoint is named.
struct Settings {
    std::optional<Target> traces, metrics;
    std::vector<std::pair<std::string, std::string>> resource;  ///< service.name is one of them
    std::chrono::milliseconds every = std::chrono::minutes(1);  ///< metrics of a server
};

/// Of this process, read once. What cannot be understood is said in the log.
const Settings& settings();

}  // namespace penstock::app::telemetry
