#include "connect/pubsub/answers.h"

#include <algorithm>
#include <condition_variable>

#include "base/humane.h"
#include "base/log.h"

namespace penstock::pubsub {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using List = std::vector<Deliveries::Answer>;

void wait(std::chrono::milliseconds delay, const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_for(lock, stop, delay, [] { return false; });
}

std::vector<std::string> ack_ids_of(const List& answers) {
    std::vector<std::string> ids;
    ids.reserve(answers.size());
    for (const auto& answer : answers) ids.push_back(answer.ack_id);
    return ids;
}

/// Requests that the service takes.
std::vector<List> in_requests(List all) {
    std::vector<List> requests;
    size_t bytes = 0;
    for (auto& answer : all) {
        if (requests.empty() || requests.back().size() == most_answer_ids || bytes > most_answer_bytes) {
            requests.emplace_back();
            bytes = 0;
        }
        bytes += answer.ack_id.size() + 4;
        requests.back().push_back(std::move(answer));
    }
    return requests;
}

/// What became of each message of a request. Google's clients go by the same rules: a word about a single id goes before the
/// status of the whole; where there are such words, nothing is known of the others.
struct Outcome {
    List taken, again, refused;
};

Outcome outcome_of(const List& answers, const AnswerStatus& status) {
    Outcome out;
    for (const auto& answer : answers) {
        auto word = status.failed.find(answer.ack_id);
        bool again = word != status.failed.end() ? word->second.starts_with("TRANSIENT_")
                                                 : !status.failed.empty() || worth_repeating(status.status.code);
        bool taken = word == status.failed.end() && status.status.ok();
        (taken ? out.taken : again ? out.again : out.refused).push_back(answer);
    }
    return out;
}

/// Nothing of this kind is mended by another delivery.
bool is_final(Code code) {
    return code == Code::permission_denied || code == Code::unauthenticated || code == Code::not_found;
}

}  // namespace

Answers::Answers(Subscriber& subscriber, Deliveries& deliveries, std::chrono::seconds first, std::chrono::seconds lease)
    : subscriber_(subscriber), deliveries_(deliveries), first_(first), lease_(lease) {}

void Answers::start() {
    acknowledging_ = std::jthread([this](const std::stop_token& stop) { acknowledge(stop); });
    prolonging_ = std::jthread([this](const std::stop_token& stop) { prolong(stop); });
}

std::optional<Error> Answers::failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
}

void Answers::acknowledge(const std::stop_token& stop) {
    auto delay = 50ms;
    while (!stop.stop_requested()) {
        auto answers = deliveries_.to_acknowledge(stop);
        if (answers.empty()) continue;
        if (acknowledge(answers)) {
            delay = 50ms;
        } else {
            wait(delay, stop);
            delay = std::min<std::chrono::milliseconds>(delay * 2, 10s);
        }
    }
}

/// False where some have to be told once more.
bool Answers::acknowledge(const List& answers) {
    auto status = subscriber_.acknowledge(ack_ids_of(answers), {});
    auto outcome = outcome_of(answers, status);
    deliveries_.acknowledged(outcome.taken);
    deliveries_.put_back(outcome.again);
    deliveries_.refused(outcome.refused);
    if (!outcome.refused.empty()) {
        auto word = status.failed.find(outcome.refused.front().ack_id);
        tell_refused(outcome.refused.size(), word != status.failed.end() ? word->second : status.status.message);
        if (is_final(status.status.code)) {
            std::lock_guard lock(mutex_);
            failure_ = call_error(status.status, "acknowledge messages");
        }
    }
    return outcome.again.empty();
}

void Answers::tell_refused(size_t count, const std::string& why) {
    if (Clock::now() - told_refused_ < 1min && told_refused_ != Clock::time_point{}) return;
    told_refused_ = Clock::now();
    log::warning(
        "{} acknowledgements were not taken ({}): the messages are durable, and are acknowledged when they come again",
        humane_count(static_cast<int64_t>(count)), why);
}

void Answers::prolong(const std::stop_token& stop) {
    const std::chrono::milliseconds shortest = std::min(first_, lease_);
    bool all = true;
    while (!stop.stop_requested()) {
        wait(all ? shortest / 4 : std::min<std::chrono::milliseconds>(shortest / 8, 1s), stop);
        if (stop.stop_requested()) return;
        all = true;
        for (const auto& answers : in_requests(deliveries_.to_prolong(Clock::now() + shortest / 2)))
            if (!stop.stop_requested()) all &= prolong(answers, lease_);
    }
}

bool Answers::prolong(const List& answers, std::chrono::seconds lease) {
    auto until = Clock::now() + lease;
    auto status = subscriber_.prolong(ack_ids_of(answers), lease, {});
    auto outcome = outcome_of(answers, status);
    deliveries_.prolonged(outcome.taken, until);
    deliveries_.expired(outcome.refused);
    return outcome.again.empty();
}

void Answers::finish() {
    for (auto* thread : {&prolonging_, &acknowledging_}) {
        if (!thread->joinable()) continue;
        thread->request_stop();
        thread->join();
    }
    bool there = true;
    for (auto answers = deliveries_.to_acknowledge(); there && !answers.empty(); answers = deliveries_.to_acknowledge())
        there = acknowledge(answers);
    for (const auto& answers : in_requests(deliveries_.give_back())) {
        if (!there) return;
        there = subscriber_.prolong(ack_ids_of(answers), std::chrono::seconds(0), {}).status.ok();
    }
}

}  // namespace penstock::pubsub
