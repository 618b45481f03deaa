#include "app/lineage/place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "io/http.h"

namespace penstock::app {
namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// The variables as the same options in the file, so that they are checked alike.
std::optional<config::Lineage> of_environment() {
    auto url = variable("OPENLINEAGE_URL");
    if (url.empty()) return {};
    std::vector<config::Node::Entry> entries{{"url", {}, config::Node::scalar(url, true)}};
    auto take = [&](const char* name, const char* option, std::string prefix = {}) {
        if (auto value = variable(name); !value.empty())
            entries.push_back(
                {option, {}, config::Node::scalar(value.starts_with(prefix) ? value : prefix + value, true)});
    };
    take("OPENLINEAGE_ENDPOINT", "endpoint", "/");
    take("OPENLINEAGE_API_KEY", "token");
    take("OPENLINEAGE_NAMESPACE", "namespace");
    remember_secret(variable("OPENLINEAGE_API_KEY"));
    auto options = config::lineage_spec().parse(config::Node::map(std::move(entries)));
    if (options) return std::move(*options);
    static const bool said = [&] {
        log::warning("nobody is told of lineage: OPENLINEAGE_URL: {}", options.error().message);
        return true;
    }();
    (void)said;
    return {};
}

io::Delivery append(const std::filesystem::path& file, const std::string& event) {
    auto line = event + "\n";
    int opened = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    // One call, so that lines of several processes do not mix.
    auto written = opened < 0 ? -1 : ::write(opened, line.data(), line.size());
    std::string why = std::strerror(errno);
    if (opened >= 0) ::close(opened);
    if (written == static_cast<ssize_t>(line.size())) return {.delivered = true, .why = ""};
    if (written >= 0) why = "only a part could be written";
    return {.passing = true, .why = fmt::format("{}: {}", file.string(), why)};
}

}  // namespace

std::optional<config::Lineage> lineage_of(const config::Document& document) {
    auto disabled = variable("OPENLINEAGE_DISABLED");
    if (disabled == "true" || disabled == "True" || disabled == "1") return {};
    return document.lineage ? document.lineage : of_environment();
}

io::Delivery send_lineage(const config::Lineage& place, const std::string& event, std::stop_token stop) {
    if (!place.file.empty()) return append(place.file.value, event);
    auto url = place.url.value;
    while (url.ends_with('/')) url.pop_back();
    io::Request request{.method = "POST",
                        .url = url + place.endpoint.value,
                        .headers = {"Content-Type: application/json"},
                        .body = event,
                        .timeout = std::chrono::duration_cast<std::chrono::milliseconds>(place.timeout),
                        .most_bytes = size_t{64} << 10};
    if (!place.token.empty()) request.headers.push_back("Authorization: Bearer " + place.token.reveal());
    for (const auto& [name, value] : place.headers) request.headers.push_back(name + ": " + value.reveal());
    io::HttpClient client({.ca_file = place.ca.value, .connect_timeout = request.timeout});
    return io::delivery_of(client.send(request, std::move(stop)));
}

}  // namespace penstock::app
