#include "app/telemetry/exporter.h"

#include <fmt/format.h>

#include <deque>
#include <mutex>

#include "app/telemetry/metrics.h"
#include "app/telemetry/settings.h"
#include "app/telemetry/trace.h"
#include "base/log.h"
#include "io/http.h"
#include "io/retry.h"
#include "io/url.h"
#include "state/lock.h"

namespace penstock::app::telemetry {
namespace {

constexpr size_t most_waiting = 256;
constexpr std::chrono::milliseconds look_every{1000};

/// Traces on their way; lost with the process, as they are with any exporter of traces.
class Waiting {
  public:
    void add(std::string request) {
        std::lock_guard held(mutex_);
        requests_.push_back(std::move(request));
        if (requests_.size() > most_waiting) requests_.pop_front(), ++dropped_;
    }
    std::deque<std::string> take() {
        std::lock_guard held(mutex_);
        if (dropped_ > 0)
            log::warning("{} traces are lost: their endpoint took none in time", std::exchange(dropped_, 0));
        return std::exchange(requests_, {});
    }

  private:
    std::mutex mutex_;
    std::deque<std::string> requests_;
    int64_t dropped_ = 0;
};

Waiting& waiting() {
    static Waiting made;
    return made;
}

/// Without path and query, which may hold a key.
std::string server_of(const std::string& url) {
    auto origin = io::origin_of(url);
    return origin ? origin->text : "the server";
}

/// One try; a server that is overloaded gets another where its time allows (429, 502, 503, 504 of OTLP's specification).
bool send(const Target& target, std::string_view what, const std::string& body, const std::stop_token& stop) {
    io::Request request{.method = "POST",
                        .url = target.url,
                        .headers = {"Content-Type: application/x-protobuf"},
                        .body = body,
                        .timeout = target.timeout,
                        .most_bytes = size_t{1} << 20};
    for (const auto& [name, value] : target.headers) request.headers.push_back(name + ": " + value);
    io::HttpClient client({.ca_file = target.ca, .connect_timeout = target.timeout});
    auto answer = io::with_retries({.deadline = target.timeout / 2}, stop, [&](int) {
        auto response = client.send(request, stop);
        bool again = response && (response->status == 429 || response->status == 502 || response->status == 503 ||
                                  response->status == 504);
        auto asked = again ? io::retry_after(*response) : std::chrono::milliseconds(0);
        return io::Attempted{.response = std::move(response), .again = again, .asked = asked};
    });
    if (answer && answer->good()) return true;
    log::warning("OpenTelemetry {} were not sent: {}", what,
                 answer ? fmt::format("{} answered with status {}", server_of(target.url), answer->status)
                        : answer.error().message);
    return false;
}

bool send_traces(const std::stop_token& stop) {
    const auto& to = settings().traces;
    if (!to) return true;
    auto requests = waiting().take();
    for (const auto& request : requests)
        if (!send(*to, "traces", request, stop)) return false;
    return true;
}

void send_metrics(const config::Document& document, const std::stop_token& stop) {
    const auto& to = settings().metrics;
    if (!to) return;
    auto request = metrics_request(document, settings(), now());
    if (!request) return log::warning("OpenTelemetry metrics were not sent: {}", request.error().message);
    send(*to, "metrics", *request, stop);
}

/// Whether both go to the same server.
bool is_one_endpoint() {
    const auto& all = settings();
    return all.traces && all.metrics &&
           all.traces->url.substr(0, all.traces->url.find("/v1/")) ==
               all.metrics->url.substr(0, all.metrics->url.find("/v1/"));
}

}  // namespace

void keep_trace(const RunStory& story, const flow::RunResult& result) {
    if (!settings().traces) return;
    if (auto request = trace_request(story, result, settings()); !request.empty()) waiting().add(std::move(request));
}

void send_all(const config::Document& document, const std::stop_token& stop) {
    if (!settings().traces && !settings().metrics) return;
    // One that was stopped has something to tell, too, if not for long.
    std::stop_source enough;
    std::jthread watch([&](std::stop_token done) {
        std::stop_callback ends(done, [&] { enough.request_stop(); });
        while (!stop.stop_requested() && io::wait_for(std::chrono::milliseconds(100), done)) {
        }
        if (io::wait_for(std::chrono::seconds(3), done)) enough.request_stop();
    });
    if (send_traces(enough.get_token()) || !is_one_endpoint()) send_metrics(document, enough.get_token());
}

Exporter::Exporter(const config::Document& document, std::function<bool()> leads)
    : document_(document), leads_(std::move(leads)) {
    if (settings().traces || settings().metrics)
        sending_ = std::jthread([this](std::stop_token stop) { keep_sending(std::move(stop)); });
}

Exporter::~Exporter() {
    if (!sending_.joinable()) return;
    sending_.request_stop();
    sending_.join();
    if (leads_()) send_all(document_, {});
    else send_traces({});
}

void Exporter::keep_sending(std::stop_token stop) const {
    auto due = std::chrono::steady_clock::now();
    do {
        send_traces(stop);
        if (std::chrono::steady_clock::now() < due || !leads_()) continue;
        due = std::chrono::steady_clock::now() + settings().every;
        send_metrics(document_, stop);
    } while (io::wait_for(look_every, stop));
}

}  // namespace penstock::app::telemetry
