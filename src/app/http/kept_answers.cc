#include "app/http/kept_answers.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/output.h"
#include "base/clock.h"

namespace penstock::app::http {

using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds fresh_for{30}, not_asked_again{10};
constexpr size_t most_kept = 500;

/// Others wait for the answer, whatever becomes of the question.
Result<nlohmann::ordered_json> asked_safely(const KeptAnswers::Ask& ask) {
    try {
        return ask();
    } catch (const std::exception& error) {
        return fail({.kind = ErrorKind::internal,
                     .code = "unexpected_exception",
                     .message = fmt::format("the answer could not be had: {}", error.what()),
                     .hint = "this is a fault of penstock: please report it"});
    }
}

}  // namespace

struct KeptAnswers::Kept {
    std::string version;
    steady_clock::time_point fresh_until{};
    std::optional<Json> answer;
    std::string asked_at;
    std::optional<Error> trouble;
    bool being_asked = false;
};

Result<KeptAnswers::Json> KeptAnswers::shown(const Kept& kept) {
    if (!kept.answer) return fail(*kept.trouble);
    Json json = *kept.answer;
    json["asked_at"] = kept.asked_at;
    json["trouble"] = kept.trouble ? error_json(*kept.trouble) : Json(nullptr);
    return json;
}

Result<KeptAnswers::Json> KeptAnswers::get(const std::string& key, const std::string& version, const Ask& ask) {
    std::unique_lock lock(mutex_);
    auto& found = kept_[key];
    if (found == nullptr) found = std::make_shared<Kept>();
    auto kept = found;
    while (true) {
        bool fresh = steady_clock::now() < kept->fresh_until && kept->version == version;
        if (fresh || (kept->being_asked && kept->answer)) return shown(*kept);
        if (!kept->being_asked) break;
        answered_.wait(lock);
    }
    kept->being_asked = true;
    lock.unlock();
    auto asked_at = iso_time(now());
    auto answer = asked_safely(ask);
    lock.lock();
    kept->being_asked = false;
    kept->version = version;
    kept->fresh_until = steady_clock::now() + (answer ? fresh_for : not_asked_again);
    kept->trouble.reset();
    if (answer) kept->answer = std::move(*answer), kept->asked_at = asked_at;
    else kept->trouble = std::move(answer.error());
    answered_.notify_all();
    let_go_of_stale();
    return shown(*kept);
}

void KeptAnswers::let_go_of_stale() {
    if (kept_.size() <= most_kept) return;
    std::erase_if(kept_, [now = steady_clock::now()](const auto& one) {
        return !one.second->being_asked && one.second->fresh_until < now;
    });
}

}  // namespace penstock::app::http
