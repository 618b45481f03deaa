#include <fmt/format.h>

#include <charconv>
#include <condition_variable>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/dashboard/assets.h"
#include "app/http/answer.h"
#include "app/http/api.h"
#include "app/http/invocations.h"
#include "app/http/server.h"
#include "app/http/triggers.h"
#include "app/operate/courier.h"
#include "app/operate/exposition.h"
#include "app/operate/metrics.h"
#include "app/operate/slot_watch.h"
#include "app/output.h"
#include "app/project.h"
#include "app/schedule/jobs.h"
#include "app/schedule/schedules.h"
#include "app/telemetry/exporter.h"
#include "base/log.h"
#include "base/version.h"
#include "io/url.h"
#include "state/lock.h"
#include "state/messages.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

/// Longer than Pub/Sub keeps a message that nobody acknowledges (31 days at
/// most).
constexpr std::chrono::hours remember_messages{32 * 24};
constexpr std::chrono::seconds look_every{15};

struct Listen {
    std::string host;
    uint16_t port = 0;
};

/// "127.0.0.1:8080", "[::1]:8080", ":8080" for all addresses, "8080" for this
/// machine.
Result<Listen> read_listen(const std::string& text) {
    auto colon = text.rfind(':');
    Listen listen{.host = colon == text.npos ? "127.0.0.1" : text.substr(0, colon)};
    if (listen.host.starts_with('[') && listen.host.ends_with(']'))
        listen.host = listen.host.substr(1, listen.host.size() - 2);
    if (listen.host.empty()) listen.host = "0.0.0.0";
    std::string number = colon == text.npos ? text : text.substr(colon + 1);
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), listen.port);
    if (error == std::errc() && end == number.data() + number.size() && !number.empty()) return listen;
    return fail({.kind = ErrorKind::usage,
                 .code = "bad_listen",
                 .message = fmt::format("'{}' is no HOST:PORT", text),
                 .hint = "such as --listen 127.0.0.1:8080"});
}

/// Whoever can reach a path without a guard can start its pipeline.
Status check_guards(const config::Document& document, const Listen& listen, bool open_to_all) {
    auto origin = io::origin_of(
        fmt::format("http://{}", listen.host.find(':') == std::string::npos ? listen.host : "[" + listen.host + "]"));
    if (open_to_all || (origin && origin->is_loopback())) return {};
    for (const auto& pipeline : document.pipelines)
        if (pipeline.trigger && !pipeline.trigger->guarded())
            return fail({.kind = ErrorKind::usage,
                         .code = "unguarded",
                         .message = fmt::format("anybody who reaches {} could start "
                                                "{}: its trigger asks for nothing",
                                                listen.host, pipeline.name),
                         .where = pipeline.trigger->http.place.text(),
                         .hint = "give the trigger a `token`, or `audience` and "
                                 "`service_account`; or say "
                                 "--allow-unauthenticated where something in front "
                                 "of the server does it"});
    return {};
}

class Serving {
  public:
    Serving(const Session& session, const config::Document& document)
        : session_(session),
          document_(document),
          invocations_(document, {.workers = static_cast<size_t>(session.options.workers),
                                  .most_waiting = static_cast<size_t>(session.options.backlog),
                                  .others = [this] { return schedules_.running(); }}),
          schedules_(session, document, [this] { return invocations_.busy(); }),
          api_(session, document) {}

    Status open(const Listen& listen) {
        PN_TRY(triggers_, http::Triggers::open(document_, invocations_));
        PN_TRY(server_, http::Server::open(
                            {.host = listen.host, .port = listen.port},
                            [this](const std::string& path) { return triggers_->most_bytes(path); },
                            [this](http::Request request, http::Reply reply) { handle(request, reply); }));
        log::info("listening on {}:{}", listen.host, server_->port());
        if (auto triggered = triggers_->pipelines(); !triggered.empty())
            log::info("triggers begin {}", fmt::join(triggered, ", "));
        PN_CHECK(schedules_.open());
        courier_.emplace(document_);
        telemetry_.emplace(document_, [this] { return schedules_.leads(); });
        slots_.emplace(document_, [this] { return schedules_.leads(); });
        return print(session_.json()
                         ? Json{{"listening", fmt::format("{}:{}", listen.host, server_->port())}}.dump() + "\n"
                         : fmt::format("listening on {}:{}\n", listen.host, server_->port()));
    }

    /// Until somebody says stop.
    void look_after_messages() {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        auto forget_at = std::chrono::steady_clock::now();
        while (!session_.stop.stop_requested()) {
            if (auto looked = look(forget_at); !looked)
                log::warning("the messages on record were not looked after: {}", looked.error().message);
            wake.wait_for(lock, session_.stop, look_every, [] { return false; });
        }
    }

    void drain() {
        std::chrono::seconds most(session_.options.grace_period);
        log::info("stopping: {} messages are under way and have {} seconds", invocations_.under_way(), most.count());
        draining_ = true;
        slots_.reset();
        schedules_.hold();
        // Runs first: the answers that requests wait for come of them.
        auto until = std::chrono::steady_clock::now() + most;
        invocations_.drain(most);
        schedules_.drain(until);
        courier_.reset();
        telemetry_.reset();
        server_->drain(std::chrono::seconds(2));
        server_.reset();
    }

  private:
    void handle(const http::Request& request, const http::Reply& reply) {
        if (triggers_->take(request, reply) || api_.take(request, reply)) return;
        if (request.method != "GET" && request.method != "HEAD")
            return reply.send(http::error_answer(404, "not_found", "there is nothing at this path", ""));
        if (auto page = dashboard(request.path)) return reply.send(std::move(*page));
        if (request.path == "/healthz")
            return reply.send(http::json_answer(200, {{"status", "ok"}, {"version", version}}));
        if (request.path == "/readyz") return reply.send(readiness());
        if (request.path == "/metrics") return reply.send(metrics(request));
        if (request.path.starts_with("/runs/")) return reply.send(triggers_->show(request, request.path.substr(6)));
        reply.send(http::error_answer(404, "not_found", "there is nothing at this path",
                                      "the paths: those of triggers, /runs/ID, /metrics, /api/v1, /healthz, /readyz"));
    }

    http::Response readiness() const {
        if (draining_) return http::error_answer(503, "stopping", "the server is being stopped", "");
        auto messages = state::Messages::open(document_.state.reveal(), document_.state_directory);
        auto answered = messages ? messages->ping() : Status(fail(messages.error()));
        if (!answered) return http::error_answer(503, answered.error());
        return http::json_answer(200, {{"status", "ready"},
                                       {"under_way", invocations_.under_way() + schedules_.running()},
                                       {"scheduler", schedules_.leads() ? "leader" : "standby"}});
    }

    http::Response metrics(const http::Request& request) const {
        if (auto refusal = api_.refusal_to_look(request)) return std::move(*refusal);
        auto text = metrics_text(document_, now());
        if (!text) return http::error_answer(503, text.error());
        return {.body = std::move(*text), .type = Exposition::content_type};
    }

    Status look(std::chrono::steady_clock::time_point& forget_at) {
        PN_CHECK(triggers_->adopt_orphans());
        PN_TRY(auto messages, state::Messages::open(document_.state.reveal(), document_.state_directory));
        PN_CHECK(messages.renew(invocations_.held()));
        if (std::chrono::steady_clock::now() < forget_at) return {};
        forget_at += std::chrono::hours(1);
        return messages.forget(state::lease_clock() - remember_messages);
    }

    const Session& session_;
    const config::Document& document_;
    http::Invocations invocations_;
    Schedules schedules_;
    http::Api api_;
    std::optional<SlotWatch> slots_;
    std::optional<Courier> courier_;
    std::optional<telemetry::Exporter> telemetry_;
    std::unique_ptr<http::Triggers> triggers_;
    std::unique_ptr<http::Server> server_;
    std::atomic<bool> draining_ = false;
};

}  // namespace

Result<int> command::serve(const Session& session) {
    PN_TRY(auto listen, read_listen(session.options.listen));
    PN_TRY(auto document, read_project(session));
    PN_TRY(auto jobs, scheduled_jobs(document));
    bool any = std::ranges::any_of(jobs, [](const auto& one) { return one.second.times.has_value(); }) ||
               std::ranges::any_of(document.pipelines, [](const auto& one) { return one.trigger.has_value(); });
    if (!any && document.api.tokens.empty())
        return fail({.kind = ErrorKind::configuration,
                     .code = "nothing_to_serve",
                     .message = fmt::format(
                         "no pipeline or backup of {} has a `schedule` or a `trigger`, and `api` has no tokens",
                         document.file.string()),
                     .hint = "add one, such as `schedule: \"0 2 * * *\"` or `trigger: {http: /billing}`"});
    PN_CHECK(check_guards(document, listen, session.options.allow_unauthenticated));
    PN_TRY(auto store, open_state(document));

    Serving serving(session, document);
    PN_CHECK(serving.open(listen));
    serving.look_after_messages();
    serving.drain();
    return 0;
}

}  // namespace penstock::app
