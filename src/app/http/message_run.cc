#include "app/http/message_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/execution.h"
#include "app/http/answer.h"
#include "app/operate/news.h"
#include "app/output.h"
#include "app/project.h"
#include "app/run_json.h"
#include "base/ids.h"
#include "base/log.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;
using state::MessageStatus;

/// Whether another try can mend it: the one thing that decides whether a
/// message comes again.
bool is_passing(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::unavailable:
        case ErrorKind::capacity:
        case ErrorKind::conflict:
        case ErrorKind::interrupted: return true;
        case ErrorKind::budget:
        case ErrorKind::usage:
        case ErrorKind::configuration:
        case ErrorKind::data:
        case ErrorKind::schema:
        case ErrorKind::refused:
        case ErrorKind::check_failed:
        case ErrorKind::internal: return false;
    }
    std::unreachable();
}

/// The document with the message's pipeline alone, which waits for no other.
config::Document narrowed(const config::Document& document, const std::string& pipeline) {
    config::Document narrow = document;
    std::erase_if(narrow.pipelines, [&](const auto& one) { return one.name != pipeline; });
    for (auto& one : narrow.pipelines) one.after.clear();
    return narrow;
}

Ordered ended_of(const state::Message& message) {
    auto ended = Ordered::parse(message.ended, nullptr, false);
    return ended.is_object() ? ended : Ordered::object();
}

/// One delivery of a message.
class Delivery {
  public:
    Delivery(const config::Document& document, state::Message& message, Turns& turns, std::stop_token stop)
        : document_(document), message_(message), turns_(turns), stop_(std::move(stop)), ended_(ended_of(message)) {}

    Status run(state::Messages& messages, const Parameters& parameters) {
        auto narrow = narrowed(document_, message_.pipeline);
        PN_CHECK(expand_for_each(narrow, parameters));
        PN_TRY(auto pipelines, select_pipelines(narrow, {}));
        PN_TRY(auto store, open_state(narrow));
        store.set_cause({.origin = schedule::Origin::trigger});
        JobTables jobs(narrow);
        for (const auto& pipeline : pipelines) {
            if (is_settled(pipeline.name())) continue;
            if (stop_.stop_requested() || !turns_.take(pipeline.name(), stop_)) return fail(stopped());
            auto result = execute(pipeline, pipeline.request(new_run_id()), store, jobs, stop_,
                                  {.most = narrow.scheduling_of(pipeline.config()).timeout,
                                   .company = Company::allowed,
                                   .shares_process = true});
            turns_.leave(pipeline.name());
            News(narrow).run_ended(result, {.origin = schedule::Origin::trigger}, store);
            note(result);
            // Not on record, it is run again by the next delivery, and finds nothing
            // new.
            if (auto kept = messages.progress(message_); !kept) return kept;
        }
        return {};
    }

    /// What stands at the end of a delivery; `status` is run()'s.
    void conclude(const Status& status) {
        bool again = false, failed = false;
        for (const auto& [name, run] : ended_.items()) {
            again = again || !run["final"].get<bool>();
            failed = failed || run["run"]["status"] != "success";
        }
        if (!status && status.error().code == "no_such_row") {
            message_.status = MessageStatus::rejected, message_.code = 400;
        } else if (!status) {
            message_.status = MessageStatus::again, message_.code = is_passing(status.error().kind) ? 503 : 500;
        } else if (again) {
            message_.status = MessageStatus::again, message_.code = 503;
        } else {
            // What failed for good is on record and will not be better when it is
            // delivered again.
            message_.status = MessageStatus::done, message_.code = failed && !message_.is_redelivered ? 500 : 200;
        }
        // What was promised with 202 and cut short by a stop is the next process' business.
        if (message_.status == MessageStatus::again && !message_.is_redelivered && stop_.stop_requested())
            message_.status = MessageStatus::accepted;
        Ordered answer = {{"status", message_.status == MessageStatus::rejected ? "rejected"
                                     : failed || !status                        ? "failed"
                                                                                : "success"}};
        answer["will_be_retried"] = message_.status == MessageStatus::again && message_.is_redelivered;
        answer["error"] = status ? Ordered(nullptr) : error_json(status.error());
        message_.answer = answer.dump(-1, ' ', false, Ordered::error_handler_t::replace);
    }

  private:
    static Error stopped() {
        return {.kind = ErrorKind::interrupted,
                .code = "interrupted",
                .message = "the server was stopped before all of the message was done",
                .hint =
                    "what was done stays; the message goes on when it is "
                    "delivered again"};
    }

    bool is_settled(const std::string& pipeline) const {
        auto found = ended_.find(pipeline);
        return found != ended_.end() && (*found)["final"].get<bool>();
    }

    void note(const flow::RunResult& result) {
        auto run = run_json(result);
        run.erase("tables");
        bool passing = result.error && (is_passing(result.error->kind) || result.deferred_until);
        ended_[result.identity.pipeline] = {{"final", !passing}, {"run", run}};
        message_.ended = ended_.dump(-1, ' ', false, Ordered::error_handler_t::replace);
        if (!result.error) return;
        log::Scope scope(result.identity.pipeline, result.identity.run_id);
        log::error("{}", result.error->message);
    }

    const config::Document& document_;
    state::Message& message_;
    Turns& turns_;
    std::stop_token stop_;
    Ordered ended_;
};

Status reject(state::Messages& messages, state::Message& message, const Error& error) {
    return messages.reject(message, error.code, error.message, message.body);
}

}  // namespace

Response run_message(const config::Document& document, state::Message& message, const Parameters& parameters,
                     Turns& turns, std::stop_token stop) {
    auto messages = state::Messages::open(document.state.reveal(), document.state_directory);
    if (!messages) return error_answer(503, messages.error());
    Delivery delivery(document, message, turns, std::move(stop));
    auto status = delivery.run(*messages, parameters);
    if (!status) log::error("message {} of {}: {}", message.id, message.pipeline, status.error().message);
    delivery.conclude(status);
    auto kept =
        message.status == MessageStatus::rejected ? reject(*messages, message, status.error()) : messages->end(message);
    if (!kept) {
        // It must come again: what was done is done, and nothing is done twice.
        log::error("the end of message {} is not on record: {}", message.id, kept.error().message);
        return error_answer(503, kept.error());
    }
    return message_answer(message);
}

void give_back(const config::Document& document, Invocations::Order& order) {
    auto& message = order.message;
    auto messages = state::Messages::open(document.state.reveal(), document.state_directory);
    if (messages) {
        message.status = MessageStatus::accepted;
        message.code = 503;
        if (auto kept = messages->progress(message); !kept)
            log::warning("message {} is not given back: {}", message.id, kept.error().message);
    }
    order.hold.reset();
    if (order.reply)
        order.reply->send(error_answer(503, "stopping", "the server is being stopped", "send the message again"));
}

Response message_answer(const state::Message& message) {
    Ordered body = {{"id", message.invocation},     {"message_id", message.id},
                    {"pipeline", message.pipeline}, {"status", state::to_string(message.status)},
                    {"attempts", message.attempts}, {"received_at", iso_time(message.received_at)}};
    auto answer = Ordered::parse(message.answer, nullptr, false);
    bool under_way = message.status == MessageStatus::accepted || message.status == MessageStatus::running;
    if (answer.is_object() && !under_way) body.update(answer);
    if (!body.contains("error")) body["error"] = nullptr;
    body["runs"] = Ordered::array();
    auto all = ended_of(message);
    for (const auto& [name, ended] : all.items()) body["runs"].push_back(ended["run"]);
    auto made = json_answer(message.code == 0 || under_way ? 200 : message.code, body);
    if (made.status == 503) made.headers.emplace_back("Retry-After", "30");
    if (message.status == MessageStatus::rejected && message.is_redelivered) made.status = 200;
    return made;
}

}  // namespace penstock::app::http
