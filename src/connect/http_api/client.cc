#include "connect/http_api/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/humane.h"
#include "base/log.h"
#include "base/version.h"
#include "connect/http_api/oauth_token.h"
#include "connect/http_api/pager.h"
#include "io/url.h"

namespace penstock::http_api {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int most_redirects = 5;
/// How often an answer is asked for that came whole and makes no sense.
constexpr int most_looks = 3;
constexpr auto longest_asked = std::chrono::hours(24);

int64_t number_in(const std::string& text) {
    int64_t value = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failed == std::errc() && end == text.data() + text.size() ? value : -1;
}

/// What the API asks to wait: Retry-After, or the moment at which a limit that is used up is renewed.
milliseconds asked_wait(const io::Response& response) {
    auto asked = io::retry_after(response, longest_asked);
    if (asked.count() > 0 || !is_rate_limit(response)) return asked;
    for (const char* name : {"x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset"}) {
        auto reset = number_in(response.header(name));
        if (reset < 0) continue;
        // Seconds from now, or since 1970: nobody has agreed on one.
        constexpr int64_t surely_a_date = 1'000'000'000;
        if (reset >= surely_a_date) reset -= std::time(nullptr);
        return std::clamp<milliseconds>(seconds(reset), seconds(0), longest_asked);
    }
    return {};
}

bool is_passing(const io::Response& response) {
    int status = response.status;
    if (status == 408 || status == 425 || is_rate_limit(response)) return true;
    return status >= 500 && status != 501 && status != 505;
}

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_web_page(const io::Response& response) {
    auto type = response.header("content-type");
    return type.starts_with("text/html") || type.starts_with("application/xhtml");
}

/// What the API says of its error, on one line and not long.
std::string said(const io::Response& response) {
    auto json = nlohmann::json::parse(response.body, nullptr, false);
    std::string text;
    std::function<void(const nlohmann::json&)> look = [&](const nlohmann::json& at) {
        if (!at.is_object()) return;
        for (const char* name : {"message", "error_description", "detail", "title", "error", "errors", "reason"}) {
            if (!text.empty() || !at.contains(name)) continue;
            const auto& found = at[name];
            if (found.is_string()) text = found.get<std::string>();
            else if (found.is_array() && !found.empty()) found[0].is_string() ? void(text = found[0]) : look(found[0]);
            else look(found);
        }
    };
    look(json);
    if (text.empty() && !is_web_page(response)) text = response.body;
    // Redacted before it is cut: half a secret is not recognised.
    text = redact(std::move(text));
    for (char& c : text)
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
    constexpr size_t most = 300;
    if (text.size() <= most) return text;
    size_t end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end) + "…";
}

std::string hint_for(int status) {
    switch (status) {
        case 401: return "check `auth` of the connection";
        case 403: return "the API knows who asks and does not allow this; ask for the right, or check `auth`";
        case 404:
        case 410: return "check `url` of the connection and `path` of the source";
        case 400:
        case 422: return "check `params`, `paging` and `cursor_param` of the source";
        case 405: return "this path does not answer GET";
        default: return status >= 500 ? "the run can be repeated" : "ask the API by hand";
    }
}

}  // namespace

bool is_rate_limit(const io::Response& response) {
    if (response.status == 429) return true;
    return response.status == 403 &&
           (response.header("x-ratelimit-remaining") == "0" || !response.header("retry-after").empty());
}

Error status_error(const io::Response& response, const std::string& what) {
    auto words = said(response);
    if (is_rate_limit(response)) {
        auto asked = asked_wait(response);
        std::string wait = asked.count() > 0
                               ? fmt::format(", and to wait {}", humane_duration(std::chrono::duration<double>(asked)))
                               : "";
        return {.kind = asked.count() > 0 ? ErrorKind::capacity : ErrorKind::unavailable,
                .code = "rate_limited",
                .message = fmt::format("the API answered {} for {}: too many requests{}{}{}", response.status, what,
                                       wait, words.empty() ? "" : ": ", words),
                .hint = "lower `requests_per_second` of the connection, or raise its `retry_for`"};
    }
    return {.kind = is_passing(response) ? ErrorKind::unavailable : ErrorKind::refused,
            .code = fmt::format("http_{}", response.status),
            .message =
                fmt::format("the API answered {} for {}{}{}", response.status, what, words.empty() ? "" : ": ", words),
            .hint = hint_for(response.status)};
}

Client::Client(const ConnectionOptions& options, uint64_t most_bytes, std::stop_token stop)
    : options_(options),
      base_(options.url.value),
      most_bytes_(std::min(most_bytes, options.max_answer.count)),
      stop_(std::move(stop)),
      http_({.ca_file = options.ca.value, .user_agent = fmt::format("penstock/{}", version)}) {
    while (base_.ends_with('/')) base_.pop_back();
    retries_.deadline = duration_cast<milliseconds>(options.retry_for);
    if (options.auth && options.auth->oauth2)
        token_ = std::make_unique<io::TokenCache>(oauth_tokens(*options.auth->oauth2));
    if (options.auth && options.auth->query) remember_secret(io::escape_url(options.auth->query->value.reveal()));
}

Result<std::unique_ptr<Client>> Client::make(const ConnectionOptions& options, uint64_t most_bytes,
                                             std::stop_token stop) {
    return std::unique_ptr<Client>(new Client(options, most_bytes, std::move(stop)));
}

Status Client::wait_for_turn() {
    if (!options_.requests_per_second) return {};
    auto apart = duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(1 / *options_.requests_per_second));
    std::chrono::steady_clock::time_point turn;
    {
        std::lock_guard lock(mutex_);
        turn = std::max(std::chrono::steady_clock::now(), next_turn_);
        next_turn_ = turn + apart;
    }
    auto wait = std::chrono::ceil<milliseconds>(turn - std::chrono::steady_clock::now());
    if (wait.count() <= 0 || io::wait_for(wait, stop_)) return {};
    return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the request was stopped"});
}

/// Only for the API's own host.
Status Client::sign(io::Request& request) {
    for (const auto& [name, value] : options_.headers) request.headers.push_back(name + ": " + value.reveal());
    if (!options_.auth) return {};
    const auto& auth = *options_.auth;
    if (auth.bearer) request.headers.push_back("Authorization: Bearer " + auth.bearer->reveal());
    if (auth.basic)
        request.headers.push_back("Authorization: Basic " +
                                  io::basic_credentials(auth.basic->user.value, auth.basic->password));
    if (auth.header) request.headers.push_back(auth.header->name.value + ": " + auth.header->value.reveal());
    if (auth.query) {
        // A next page's URL may repeat it.
        auto name = io::escape_url(auth.query->name.value) + "=";
        bool there =
            request.url.find("?" + name) != std::string::npos || request.url.find("&" + name) != std::string::npos;
        if (!there) request.url = with_param(request.url, auth.query->name.value, auth.query->value.reveal());
    }
    if (token_ != nullptr) {
        PN_TRY(auto header, token_->header(http_, stop_));
        request.headers.push_back(std::move(header));
    }
    return {};
}

Result<io::Response> Client::send(const std::string& url) {
    std::string at = url;
    for (int redirects = 0;; ++redirects) {
        PN_CHECK(wait_for_turn());
        io::Request request{.url = at,
                            .headers = {"Accept: application/json", "Accept-Encoding:"},
                            .timeout = duration_cast<milliseconds>(options_.timeout),
                            .most_bytes = most_bytes_};
        bool own = same_origin(at, base_);
        if (own) PN_CHECK(sign(request));
        PN_TRY(auto answer, http_.send(request, stop_));
        auto location = answer.header("location");
        if (!is_redirect(answer.status) || location.empty()) return answer;
        auto next = io::resolve_url(at, location);
        if (!next || redirects == most_redirects)
            return fail({.kind = ErrorKind::refused,
                         .code = "bad_redirect",
                         .message = next ? fmt::format("the API redirects more than {} times", most_redirects)
                                         : std::string("the API redirects to what is no URL"),
                         .hint = "check `url` of the connection and `path` of the source"});
        if (at.starts_with("https://") && !next->starts_with("https://"))
            return fail({.kind = ErrorKind::refused,
                         .code = "redirect_in_the_clear",
                         .message = "the API redirects from https:// to a place without encryption",
                         .hint = "check `url` of the connection and `path` of the source"});
        at = std::move(*next);
    }
}

Result<io::Response> Client::ask_once(const std::string& url) {
    auto answer = send(url);
    if (!answer || answer->status != 401 || token_ == nullptr) return answer;
    token_->forget();
    return send(url);
}

Result<io::Response> Client::get(const std::string& url, const std::string& what, const std::vector<int64_t>& expected,
                                 const Look& look) {
    Status looked;
    int looks = 0;
    auto answer = io::with_retries(retries_, stop_, [&](int) {
        looked = {};
        auto response = ask_once(url);
        bool again = !response && response.error().kind == ErrorKind::unavailable;
        milliseconds asked{};
        bool awaited = response && std::ranges::find(expected, response->status) != expected.end();
        if (response && !response->good() && !awaited) {
            again = is_passing(*response);
            asked = asked_wait(*response);
            if (again && is_rate_limit(*response))
                log::info("{}: the API asks for fewer requests{}", what,
                          asked.count() > 0
                              ? fmt::format(", and to wait {}", humane_duration(std::chrono::duration<double>(asked)))
                              : std::string());
        } else if (response && !awaited && look) {
            looked = look(*response);
            again = !looked && ++looks < most_looks;
        }
        return io::Attempted{.response = std::move(response), .again = again, .asked = asked};
    });
    if (!answer) {
        auto error = std::move(answer.error());
        if (error.code == "answer_too_large")
            error.hint = "ask for smaller pages, or raise `max_answer` of the connection";
        error.message = fmt::format("{}: {}", what, error.message);
        return fail(std::move(error));
    }
    bool awaited = std::ranges::find(expected, answer->status) != expected.end();
    if (!answer->good() && !awaited) return fail(status_error(*answer, what));
    PN_CHECK(looked);
    return answer;
}

}  // namespace penstock::http_api
