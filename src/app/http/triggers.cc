#include "app/http/triggers.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <nlohmann/json.hpp>

#include "app/http/answer.h"
#include "base/digest.h"
#include "base/humane.h"
#include "base/ids.h"
#include "base/log.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;
using state::Messages;

/// How long it takes says nothing of how much of it was right.
bool same_secret(const std::string& one, const std::string& other) {
    auto a = sha256_hex(one), b = sha256_hex(other);
    return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Response unauthorized(const Error& error) {
    auto answer = error_answer(error.kind == ErrorKind::unavailable ? 503 : 401, error);
    if (answer.status == 401) answer.headers.emplace_back("WWW-Authenticate", "Bearer");
    else answer.headers.emplace_back("Retry-After", "10");
    return answer;
}

Response later(int status, std::string_view code, std::string_view message, std::string_view hint) {
    auto answer = error_answer(status, code, message, hint);
    answer.headers.emplace_back("Retry-After", status == 429 ? "10" : "5");
    return answer;
}

/// How long the sender wants to wait for the end of the runs: `?wait`,
/// `?wait=30s`. Nothing when it does not.
std::optional<std::chrono::milliseconds> wish_to_wait(const Request& request, std::chrono::milliseconds most) {
    auto found = request.query.find("wait");
    if (found == request.query.end()) return std::nullopt;
    char* end = nullptr;
    double seconds = std::strtod(found->second.c_str(), &end);
    if (end == found->second.c_str() || !(seconds > 0)) return most;
    return std::min(most, std::chrono::milliseconds(static_cast<int64_t>(std::min(seconds, 3600.0) * 1000)));
}

Result<Messages> open_messages(const config::Document& document) {
    return Messages::open(document.state.reveal(), document.state_directory);
}

}  // namespace

Result<std::unique_ptr<Triggers>> Triggers::open(const config::Document& document, Invocations& invocations) {
    auto made = std::unique_ptr<Triggers>(new Triggers(document, invocations));
    for (const auto& pipeline : document.pipelines) {
        if (!pipeline.trigger) continue;
        const auto& trigger = *pipeline.trigger;
        PN_TRY(auto schema, MessageSchema::load(trigger.schema.value));
        Point point{&pipeline, std::move(schema), nullptr};
        if (!trigger.audience.empty())
            point.verifier = std::make_unique<io::IdTokenVerifier>(
                io::ExpectedIdentity{trigger.audience, trigger.service_account, trigger.keys});
        made->points_.emplace(trigger.http.value, std::move(point));
        made->names_.push_back(pipeline.name);
    }
    return made;
}

size_t Triggers::most_bytes(const std::string& path) const {
    auto found = points_.find(path);
    return found == points_.end() ? 64 * 1024 : found->second.trigger().max_bytes.count;
}

Result<Triggers::Sender> Triggers::sender(Point& point, const Request& request) const {
    const auto& trigger = point.trigger();
    if (!trigger.guarded()) return Sender::anybody;
    auto shown = bearer(request);
    if (!shown.empty() && !trigger.token.empty() && same_secret(shown, trigger.token.reveal())) return Sender::token;
    if (!shown.empty() && point.verifier != nullptr) {
        PN_CHECK(point.verifier->verify(shown, std::chrono::system_clock::now()));
        return Sender::push;
    }
    return fail({.kind = ErrorKind::refused,
                 .code = "not_authenticated",
                 .message = shown.empty() ? "the request does not say who sends it" : "the token is not the right one",
                 .hint = trigger.token.empty() ? "send the identity token of the push subscription's account"
                                               : "send the trigger's token as Authorization: Bearer …"});
}

bool Triggers::take(const Request& request, const Reply& reply) {
    auto found = points_.find(request.path);
    if (found == points_.end()) return false;
    Point& point = found->second;
    log::Scope scope(point.pipeline->name, "");
    if (request.method != "POST") {
        auto answer = error_answer(405, "not_allowed", "messages are sent by POST", "");
        answer.headers.emplace_back("Allow", "POST");
        return reply.send(std::move(answer)), true;
    }
    auto who = sender(point, request);
    if (!who) {
        log::warning("a request to {} was refused: {}", request.path, who.error().message);
        return reply.send(unauthorized(who.error())), true;
    }
    // Pages of other sites may make a browser on this machine send anything but
    // JSON without asking.
    bool is_json = request.header("content-type").starts_with("application/json");
    if (*who == Sender::anybody && !is_json)
        return reply.send(error_answer(415, "not_json", "the Content-Type is not application/json",
                                       "send -H 'Content-Type: application/json'")),
               true;
    take_message(point, request, *who, reply);
    return true;
}

void Triggers::take_message(Point& point, const Request& request, Sender sender, const Reply& reply) {
    const auto& trigger = point.trigger();
    auto incoming = open_envelope(request, trigger.push);
    state::Message message{.pipeline = point.pipeline->name,
                           .id = incoming.id,
                           .invocation = new_run_id(),
                           .is_redelivered = incoming.pushed || sender == Sender::push,
                           .digest = sha256_hex(incoming.body),
                           .body = incoming.body,
                           .ended = "{}",
                           .received_at = now()};
    std::vector<Violation> violations;
    if (!incoming.mistake.empty()) violations.push_back({"", incoming.mistake, ""});
    Parameters parameters;
    if (violations.empty()) parameters = point.schema.check(incoming.body, violations);
    if (!violations.empty()) return reply.send(refuse(message, std::move(violations)));
    // One without a name of its own is always new.
    if (message.id.empty()) message.id = message.invocation;
    auto most = std::chrono::duration_cast<std::chrono::milliseconds>(trigger.timeout);
    auto wish = wish_to_wait(request, most);
    bool waits = message.is_redelivered || wish;
    start(std::move(message), std::move(parameters), waits, wish.value_or(most), reply);
}

/// Whoever delivers again until it is answered well would do so for ever: it is
/// told that all is well, and people find the message among the rejects.
Response Triggers::refuse(const state::Message& given, std::vector<Violation> violations) const {
    Ordered list = violations_json(violations);
    Ordered error = {{"code", "bad_message"},
                     {"message", fmt::format("the message is refused: {}{}{}", violations[0].path,
                                             violations[0].path.empty() ? "" : ": ", violations[0].reason)},
                     {"where", nullptr},
                     {"hint", "mend what `violations` says and send it again"}};
    log::warning("{}", error["message"].get<std::string>());
    Ordered body = {{"status", "rejected"}, {"error", error}, {"violations", list}};
    if (!given.is_redelivered) return json_answer(400, body);
    state::Message message = given;
    if (message.id.empty()) message.id = message.digest;
    message.status = state::MessageStatus::rejected;
    message.code = 400;
    message.answer = body.dump(-1, ' ', false, Ordered::error_handler_t::replace);
    auto messages = open_messages(document_);
    if (!messages) return error_answer(503, messages.error());
    std::string reason;
    for (const auto& one : violations)
        reason +=
            fmt::format("{}{}{}{}", reason.empty() ? "" : "; ", one.path, one.path.empty() ? "" : ": ", one.reason);
    // Not on record it would be lost.
    if (auto kept = messages->reject(message, "bad_message", reason, message.body); !kept)
        return error_answer(503, kept.error());
    return json_answer(200, body);
}

void Triggers::start(state::Message message, Parameters parameters, bool waits, std::chrono::milliseconds most,
                     const Reply& reply) {
    bool pushed = message.is_redelivered;
    auto busy = [&] {
        return later(pushed ? 503 : 409, "under_way", fmt::format("message {} is being worked on", message.id),
                     "ask again when it has ended");
    };
    auto hold = invocations_.hold(message.pipeline, message.id);
    if (hold == nullptr) return reply.send(busy());
    if (!invocations_.has_room())
        return reply.send(
            invocations_.is_draining()
                ? later(503, "stopping", "the server is being stopped", "send the message again")
                : later(429, "too_many", "too many messages are waiting", "send the message again later"));
    auto messages = open_messages(document_);
    if (!messages)
        return reply.send(later(503, messages.error().code, messages.error().message, messages.error().hint));
    auto claimed = messages->claim(std::move(message));
    if (!claimed) return reply.send(later(503, claimed.error().code, claimed.error().message, claimed.error().hint));
    message = std::move(claimed->message);
    using Claim = Messages::Claim;
    // Before the answer: whoever gets it may send the message again at once.
    if (claimed->claim != Claim::ours) hold.reset();
    if (claimed->claim == Claim::busy) return reply.send(busy());
    if (claimed->claim == Claim::settled) return reply.send(message_answer(message));
    if (claimed->claim == Claim::other_body)
        return reply.send(error_answer(422, "other_body", "another message came with this Idempotency-Key",
                                       "give each message a key of its own"));
    log::info("message {} is taken (delivery {})", message.id, message.attempts);
    Invocations::Order order{std::move(hold), message, std::move(parameters), std::nullopt};
    if (waits) {
        order.reply = reply;
        reply.send_after(
            most, later(503, "still_running", fmt::format("the runs have not ended within {}", humane_duration(most)),
                        "they go on: send the message again to learn of their end"));
        return invocations_.submit(std::move(order));
    }
    auto answer = message_answer(message);
    answer.status = 202;
    answer.headers.emplace_back("Location", "/runs/" + message.invocation);
    invocations_.submit(std::move(order));
    reply.send(std::move(answer));
}

Response Triggers::show(const Request& request, const std::string& invocation) {
    auto messages = open_messages(document_);
    if (!messages) return error_answer(503, messages.error());
    auto found = messages->find(invocation);
    if (!found) return error_answer(503, found.error());
    auto unknown = [] {
        return error_answer(404, "no_such_run", "there is no such run", "POST answers with its path");
    };
    if (!*found) return unknown();
    for (auto& [path, point] : points_) {
        if (point.pipeline->name != (*found)->pipeline) continue;
        if (auto who = sender(point, request); !who) return unauthorized(who.error());
        auto answer = message_answer(**found);
        answer.status = 200;
        return answer;
    }
    return unknown();
}

Status Triggers::adopt_orphans() {
    PN_TRY(auto messages, open_messages(document_));
    PN_TRY(auto orphans, messages.orphans(names_));
    for (auto& orphan : orphans) {
        auto hold = invocations_.hold(orphan.pipeline, orphan.id);
        if (hold == nullptr || !invocations_.has_room()) continue;
        PN_TRY(auto claimed, messages.claim(orphan));
        if (claimed.claim != Messages::Claim::ours) continue;
        std::vector<Violation> violations;
        Parameters parameters;
        for (const auto& [path, point] : points_)
            if (point.pipeline->name == orphan.pipeline) parameters = point.schema.check(orphan.body, violations);
        // It was good when it was accepted; a schema that has changed since does
        // not take that back, but nothing can be run.
        if (!violations.empty()) {
            log::error("message {} of {} does not hold the schema any more: {}", orphan.id, orphan.pipeline,
                       violations.front().reason);
            claimed.message.status = state::MessageStatus::rejected, claimed.message.code = 400;
            PN_CHECK(messages.reject(claimed.message, "bad_message", violations.front().reason, orphan.body));
            continue;
        }
        log::info("message {} of {} was left by a process that is gone; going on with it", orphan.id, orphan.pipeline);
        invocations_.submit({std::move(hold), std::move(claimed.message), std::move(parameters), std::nullopt});
    }
    return {};
}

}  // namespace penstock::app::http
