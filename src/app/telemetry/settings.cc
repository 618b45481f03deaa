#include "app/telemetry/settings.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "base/log.h"
#include "base/secret.h"
#include "base/version.h"
#include "io/url.h"

namespace penstock::app::telemetry {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
}

/// The one of the signal, else the one of all.
std::string either(const std::string& signal, const char* what) {
    auto own = variable(fmt::format("OTEL_EXPORTER_OTLP_{}_{}", signal, what));
    return own.empty() ? variable(fmt::format("OTEL_EXPORTER_OTLP_{}", what)) : own;
}

std::string unescaped(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        int byte = 0;
        bool escaped = text[i] == '%' && i + 2 < text.size() &&
                       std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3;
        out += escaped ? static_cast<char>(byte) : text[i];
        if (escaped) i += 2;
    }
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

/// "a=1,b=2", as W3C's baggage has them.
Pairs pairs_of(std::string_view text) {
    Pairs pairs;
    while (!text.empty()) {
        auto comma = std::min(text.find(','), text.size());
        auto one = trimmed(text.substr(0, comma));
        text.remove_prefix(std::min(comma + 1, text.size()));
        auto equals = one.find('=');
        if (equals == one.npos || equals == 0) continue;
        pairs.emplace_back(trimmed(one.substr(0, equals)), unescaped(trimmed(one.substr(equals + 1))));
    }
    return pairs;
}

std::optional<std::chrono::milliseconds> milliseconds_of(const std::string& text) {
    int64_t count = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || count <= 0) return {};
    return std::chrono::milliseconds(count);
}

std::optional<Target> refused(const std::string& signal, const std::string& why) {
    log::warning("no OpenTelemetry {}: {}", signal == "TRACES" ? "traces" : "metrics", why);
    return {};
}

bool breaks(const std::string& text) { return text.find_first_of("\r\n") != std::string::npos; }

std::optional<Target> target_of(const std::string& signal, const char* path) {
    if (variable("OTEL_SDK_DISABLED") == "true" || variable(fmt::format("OTEL_{}_EXPORTER", signal)) == "none")
        return {};
    auto url = variable(fmt::format("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal));
    if (url.empty()) {
        url = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
        if (url.empty()) return {};
        while (url.ends_with('/')) url.pop_back();
        url += path;
    }
    auto protocol = either(signal, "PROTOCOL");
    if (!protocol.empty() && protocol != "http/protobuf")
        return refused(signal,
                       fmt::format("OTEL_EXPORTER_OTLP_PROTOCOL is {}, and only http/protobuf is spoken", protocol));
    if (!io::origin_of(url)) return refused(signal, "the endpoint is no URL such as http://collector:4318");
    Target target{.url = url, .headers = pairs_of(either(signal, "HEADERS")), .ca = either(signal, "CERTIFICATE")};
    for (const auto& [name, value] : target.headers) {
        remember_secret(value);
        if (name.find_first_of(": \t\r\n") != std::string::npos || breaks(value))
            return refused(signal, "OTEL_EXPORTER_OTLP_HEADERS has a header with a line break, or a name that is none");
    }
    if (auto timeout = milliseconds_of(either(signal, "TIMEOUT"))) target.timeout = *timeout;
    return target;
}

void put(Pairs& pairs, const std::string& name, std::string value, bool replace) {
    for (auto& [known, old] : pairs)
        if (known == name) {
            if (replace) old = std::move(value);
            return;
        }
    pairs.emplace_back(name, std::move(value));
}

Settings read() {
    Settings made{.traces = target_of("TRACES", "/v1/traces"), .metrics = target_of("METRICS", "/v1/metrics")};
    made.resource = pairs_of(variable("OTEL_RESOURCE_ATTRIBUTES"));
    auto name = variable("OTEL_SERVICE_NAME");
    put(made.resource, "service.name", name.empty() ? "penstock" : name, !name.empty());
    put(made.resource, "service.version", std::string(version), false);
    if (auto every = milliseconds_of(variable("OTEL_METRIC_EXPORT_INTERVAL"))) made.every = *every;
    return made;
}

}  // namespace

const Settings& settings() {
    static const Settings made = read();
    return made;
}

}  // namespace penstock::app::telemetry
