#include "app/http/api.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <strings.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "app/http/answer.h"
#include "app/http/api_arguments.h"
#include "app/operate/whose.h"
#include "base/digest.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/secret.h"
#include "io/url.h"
#include "state/audit.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;

/// Each is a process with memory of its own.
constexpr int most_asking = 3;

Error not_allowed(std::string code, std::string message, std::string hint) {
    return {
        .kind = ErrorKind::refused, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

/// The connection alone is not enough: a page of another site whose name was made to mean this machine would send that
/// name, and a proxy on this machine speaks for others and says so.
bool is_of_this_machine(const Request& request) {
    if (!request.from_loopback) return false;
    for (const auto& [name, value] : request.headers)
        if (name == "forwarded" || name == "via" || name == "x-real-ip" || name.starts_with("x-forwarded-") ||
            name.starts_with("x-envoy-"))
            return false;
    auto origin = io::origin_of("http://" + request.header("host"));
    return origin && origin->is_loopback();
}

int status_of(const Error& error) {
    static const std::set<std::string_view> missing = {"not_found", "unknown_reject", "unknown_table", "no_such_drill"};
    // What a command of ours says has no kind.
    static const std::set<std::string_view> in_the_way = {"already_running", "database_locked"};
    if (missing.contains(error.code)) return 404;
    if (in_the_way.contains(error.code)) return 409;
    switch (error.kind) {
        case ErrorKind::usage:
        case ErrorKind::configuration: return 400;
        default: return 503;
    }
}

bool is_json(const Request& request) {
    auto type = request.header("content-type");
    type.erase(std::min(type.find(';'), type.size()));
    type.erase(type.find_last_not_of(' ') + 1);
    return ::strcasecmp(type.c_str(), "application/json") == 0;
}

Response say_who(const Error& error) {
    auto response = error_answer(401, error);
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

Response wrong_method(const std::set<std::string_view>& right) {
    auto response = error_answer(405, "not_allowed", "this path takes other methods", "");
    response.headers.emplace_back("Allow", fmt::format("{}", fmt::join(right, ", ")));
    return response;
}

/// "orders", "shop_db:full"
std::string subject_of(const ApiCall& call) {
    auto job = call.text("job");
    return job.empty() ? call.text("pipeline") : call.text("backup") + ":" + job;
}

Ordered asked_json(const ApiCall& call) {
    Ordered json = Ordered::object();
    for (const auto& [name, value] : call.texts)
        if (name != "pipeline" && name != "backup" && name != "job" && name != "role") json[name] = value;
    for (const auto& [name, value] : call.truths) json[name] = value;
    return json;
}

}  // namespace

bool Api::take(const Request& request, const Reply& reply) {
    if (!request.path.starts_with(api_prefix)) return false;
    if (request.path.size() > api_prefix.size() && request.path[api_prefix.size()] != '/') return false;
    reply.send(answer(request));
    return true;
}

std::optional<Response> Api::refusal_to_look(const Request& request) const {
    if (document_.api.tokens.empty()) return std::nullopt;
    auto who = asker(request);
    return who ? std::nullopt : std::optional(say_who(who.error()));
}

Result<Api::Asker> Api::asker(const Request& request) const {
    const auto& tokens = document_.api.tokens;
    if (tokens.empty()) {
        if (is_of_this_machine(request)) return Asker{"(this machine)", config::Role::viewer};
        return fail(not_allowed("not_authenticated", "the configuration has no tokens, so only this machine may look",
                                "add `api: {tokens: […]}` to the configuration"));
    }
    auto given = bearer(request);
    auto digest = sha256_hex(given);
    std::optional<Asker> found;
    for (const auto& one : tokens) {
        auto right = one.value.digest();
        bool same = CRYPTO_memcmp(digest.data(), right.data(), right.size()) == 0;
        if (!given.empty() && same) found = Asker{one.value.name.value, one.value.role};
    }
    if (found) return std::move(*found);
    return fail(not_allowed("not_authenticated",
                            !given.empty() ? "the token is not known" : "the request does not say who sends it",
                            "send a token of `api.tokens` as Authorization: Bearer …"));
}

Response Api::answer(const Request& request) {
    auto who = asker(request);
    if (!who) return say_who(who.error());
    auto path = std::string_view(request.path).substr(api_prefix.size());
    bool is_head = request.method == "HEAD";
    std::set<std::string_view> methods;
    for (const auto& route : api_routes()) {
        auto places = match(route.path, path);
        if (!places) continue;
        methods.insert(route.method);
        if (route.method != (is_head ? "GET" : request.method)) continue;
        ApiCall call{.session = session_,
                     .document = document_,
                     .kept = kept_,
                     .actor = who->name,
                     .texts = {},
                     .wholes = {},
                     .truths = {}};
        if (route.takes_body() && !request.body.empty() && !is_json(request))
            return error_answer(415, "not_json", "the body is not said to be JSON",
                                "send Content-Type: application/json");
        if (auto read = read_arguments(route, request, *places, call); !read) return error_answer(400, read.error());
        if (who->role < route.role) {
            auto refused = not_allowed("not_allowed",
                                       fmt::format("this is for the role {}, and {} is {}", to_string(route.role),
                                                   who->name, to_string(who->role)),
                                       "ask whoever keeps the configuration");
            log::warning("the API refused {} to {}: {}", route.name, who->name, refused.message);
            return error_answer(403, refused);
        }
        if (places->contains("pipeline") && pipeline_behind(document_, call.text("pipeline")) == nullptr) {
            auto unknown = config::no_such_pipeline(document_, call.text("pipeline"));
            return error_answer(404, unknown);
        }
        call.texts["role"] = to_string(who->role);
        return route.changes() ? carry_out(route, call, *who) : handle(route, call);
    }
    if (!methods.empty()) return wrong_method(methods);
    return error_answer(404, "not_found", "there is nothing at this path", "/api/v1/openapi.json lists the paths");
}

Response Api::carry_out(const ApiRoute& route, const ApiCall& call, const Asker& asker) {
    state::Deed deed{.id = new_run_id(),
                     .at = now(),
                     .actor = asker.name,
                     .role = std::string(to_string(asker.role)),
                     .action = std::string(route.name),
                     .subject = subject_of(call),
                     .detail = redact(asked_json(call).dump())};
    auto audit = state::Audit::open(document_.state.reveal(), document_.state_directory);
    auto begun = audit ? audit->begin(deed) : Status(fail(audit.error()));
    if (!begun) return error_answer(503, begun.error());
    auto response = handle(route, call);
    log::info("{} by {} for {}: status {}", route.name, asker.name, deed.subject, response.status);
    if (auto ended = audit->end(deed.id, response.status); !ended)
        log::warning("the audit log lacks the end of {}: {}", deed.id, ended.error().message);
    return response;
}

Response Api::handle(const ApiRoute& route, const ApiCall& call) {
    struct Count {
        std::atomic<int>& of;
        bool counts;
        int before = counts ? of.fetch_add(1) : 0;
        ~Count() {
            if (counts) --of;
        }
    } count{asking_, route.asks_own};
    if (count.before >= most_asking) {
        auto busy = error_answer(429, "too_many", "too many requests ask targets and servers at once", "ask again");
        busy.headers.emplace_back("Retry-After", "2");
        return busy;
    }
    auto answered = route.handle(call);
    if (answered) return json_answer(200, *answered);
    int status = status_of(answered.error());
    auto response = error_answer(status, answered.error());
    if (status == 503 || status == 409) response.headers.emplace_back("Retry-After", "10");
    return response;
}

}  // namespace penstock::app::http
