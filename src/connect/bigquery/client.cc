#include "connect/bigquery/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "io/resumable_upload.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

ErrorKind kind_of(const io::GoogleError& error) {
    const auto& reason = error.reason;
    if (io::is_passing(error.status, reason)) return ErrorKind::unavailable;
    if (reason == "quotaExceeded" || reason == "responseTooLarge" || reason == "resourcesExceeded")
        return ErrorKind::capacity;
    if (reason == "bytesBilledLimitExceeded") return ErrorKind::budget;
    if (reason == "stopped") return ErrorKind::interrupted;
    return ErrorKind::refused;
}

std::string hint_of(const io::GoogleError& error) {
    const auto& reason = error.reason;
    if (error.status == 401)
        return "name a service account's key file under `credentials`, or mend the one that is named";
    if (reason == "accessDenied" || error.status == 403)
        return reason == "quotaExceeded"
                   ? "ask for more quota, or run again when it is renewed"
                   : "grant the account roles/bigquery.jobUser on the project and "
                     "roles/bigquery.dataEditor on the dataset (to create datasets, on the project)";
    if (reason == "billingNotEnabled") return "enable billing for the project: the sandbox takes no DML";
    if (reason == "notFound") return "check `project` and `location`: a job only sees datasets of its own location";
    if (reason == "bytesBilledLimitExceeded") return "nothing was billed; raise the budget, or make the query smaller";
    return "";
}

std::string snake_case(const std::string& reason) {
    std::string out;
    for (char c : reason) {
        bool upper = c >= 'A' && c <= 'Z';
        if (upper) out += '_';
        out += upper ? static_cast<char>(c + 32) : c;
    }
    return out;
}

bool worth_repeating(const Result<io::Response>& answer) {
    if (!answer) return answer.error().kind == ErrorKind::unavailable;
    return !answer->good() && io::is_passing(answer->status, io::google_error(*answer).reason);
}

}  // namespace

Error api_error(const io::GoogleError& error, const std::string& what) {
    std::string said = error.message.empty() ? fmt::format("status {}", error.status) : error.message;
    return {.kind = kind_of(error),
            .code = error.reason.empty() ? fmt::format("bigquery_{}", error.status)
                                         : "bigquery_" + snake_case(error.reason),
            .message = fmt::format("cannot {}: BigQuery answered {}{}{}", what, error.reason,
                                   error.reason.empty() ? "" : ": ", said),
            .hint = hint_of(error)};
}

Client::Client(const ConnectionOptions& options, std::stop_token stop)
    : options_(options),
      stop_(std::move(stop)),
      http_({.ca_file = options.ca.value, .user_agent = fmt::format("penstock/{}", version)}) {
    retries_.deadline = duration_cast<milliseconds>(options.retry_for);
}

Result<std::unique_ptr<Client>> Client::make(const ConnectionOptions& options, std::stop_token stop) {
    std::unique_ptr<Client> client(new Client(options, std::move(stop)));
    PN_TRY(auto origin, io::origin_of(options.endpoint.value));
    bool identified = !options.credentials.empty() || !options.impersonate.empty();
    if (!origin.encrypted && !identified) return client;
    auto source = io::token_source({.key_file = options.credentials.value, .impersonate = options.impersonate.value});
    if (!source) return fail(std::move(source.error()).at(options.credentials.place.text()));
    client->token_ = std::make_unique<io::TokenCache>(std::move(*source));
    return client;
}

std::string Client::who() const { return token_ == nullptr ? "nobody (an emulator)" : token_->who(); }

void Client::begin_last_calls() {
    stop_ = {};
    retries_.deadline = std::chrono::seconds(5);
    options_.timeout = std::min<std::chrono::microseconds>(options_.timeout, std::chrono::seconds(5));
}

bool Client::wait(milliseconds delay) const { return io::wait_for(delay, stop_); }

std::string Client::url(std::string_view service, const std::string& project, const std::string& path) const {
    std::string base = options_.endpoint.value;
    while (base.ends_with('/')) base.pop_back();
    return fmt::format("{}{}/projects/{}{}", base, service, io::escape_url(project), path);
}

Result<io::Response> Client::send(io::Request request) {
    if (request.file == std::nullopt) request.timeout = duration_cast<milliseconds>(options_.timeout);
    auto headers = request.headers;
    for (bool first = true;; first = false) {
        if (token_ != nullptr) {
            PN_TRY(auto who, token_->header(http_, stop_));
            request.headers = headers;
            request.headers.push_back(std::move(who));
        }
        auto answer = http_.send(request, stop_);
        bool outdated = answer && answer->status == 401 && token_ != nullptr && first;
        if (!outdated) return answer;
        token_->forget();
    }
}

Result<std::optional<Json>> Client::call(const std::string& method, const std::string& path, const Json* body,
                                         const std::string& what, std::initializer_list<int> expected) {
    return call_in(project(), method, path, body, what, expected);
}

Result<std::optional<Json>> Client::call_in(const std::string& project, const std::string& method,
                                            const std::string& path, const Json* body, const std::string& what,
                                            std::initializer_list<int> expected) {
    io::Request request{.method = method, .url = url("/bigquery/v2", project, path)};
    if (body != nullptr) {
        request.headers = {"Content-Type: application/json; charset=UTF-8"};
        request.body = body->dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    PN_TRY(auto answer, io::with_retries(retries_, stop_, [&](int) {
               auto response = send(request);
               bool again = worth_repeating(response);
               auto asked = response ? io::retry_after(*response) : milliseconds();
               return io::Attempted{.response = std::move(response), .again = again, .asked = asked};
           }));
    if (std::ranges::find(expected, answer.status) != expected.end()) return std::optional<Json>();
    if (!answer.good()) return fail(api_error(io::google_error(answer), what));
    if (answer.body.empty()) return std::optional<Json>(Json::object());
    auto json = Json::parse(answer.body, nullptr, false);
    if (json.is_object()) return std::optional<Json>(std::move(json));
    return fail(
        {.kind = ErrorKind::unavailable,
         .code = "bad_answer",
         .message = fmt::format("cannot {}: the answer of {} is no JSON object", what, options_.endpoint.value)});
}

Result<std::optional<Json>> Client::upload_job(const Json& job, const io::FileBody& file, const std::string& what) {
    io::Upload upload{.url = url("/upload/bigquery/v2", project(), "/jobs?uploadType=resumable"),
                      .metadata = job.dump(),
                      .file = file};
    PN_TRY(auto answer,
           io::upload(upload, retries_, stop_, [this](io::Request request) { return send(std::move(request)); }));
    if (answer.status == 409) return std::optional<Json>();
    if (!answer.good()) return fail(api_error(io::google_error(answer), what));
    auto json = Json::parse(answer.body, nullptr, false);
    return std::optional<Json>(json.is_object() ? std::move(json) : Json::object());
}

}  // namespace penstock::bigquery
