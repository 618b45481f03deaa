#include "connect/pubsub/deliveries.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/ids.h"
#include "connect/pubsub/id_set.h"
#include "connect/pubsub/message_text.h"
#include "flow/shared_stream.h"

namespace penstock::pubsub {
namespace {

/// An id that an earlier reader left unacknowledged comes again within a lease, or was acknowledged after all. From then on
/// it is as good as acknowledged, and is forgotten by its age.
constexpr auto former_for = std::chrono::hours(1);

}  // namespace

Deliveries::Deliveries(std::string subscription, DeliveryLimits limits)
    : subscription_(std::move(subscription)),
      stream_(new_run_id()),
      prefix_(subscription_.substr(subscription_.rfind('/') + 1) + '/'),
      limits_(limits) {}

void Deliveries::begin(const StreamPosition& position) {
    Lock lock(mutex_);
    begun_ = last_taken_ = Clock::now();
    former_until_ = sent_until_ = position.sent_until;
    for (const auto& id : position.acknowledged) age(id, deliveries_[id] = {.former = true, .taken = begun_});
    for (const auto& id : position.pending)
        wait_for_another(id, deliveries_[id] = {.stage = Stage::durable, .former = true, .taken = begun_});
}

// ---- from other readers

Status Deliveries::learn(const StreamPosition& newest) {
    Lock lock(mutex_);
    size_t twice = 0;
    for (const auto* ids : {&newest.pending, &newest.acknowledged})
        for (const auto& id : *ids) {
            auto known = deliveries_.find(id);
            if (known == deliveries_.end() || known->second.stage != Stage::given) continue;
            twice += known->second.sent_micros <= newest.sent_until ? 1 : 0;
        }
    if (twice > 0)
        return fail(flow::part_moved(
            fmt::format("{} messages of {} were delivered to another process as well, which has committed them", twice,
                        subscription_)));
    former_until_ = std::max(former_until_, newest.sent_until);
    for (const auto& id : newest.acknowledged) learn_one(id, true, newest.sent_until);
    for (const auto& id : newest.pending) learn_one(id, false, newest.sent_until);
    forget();
    answers_.notify_one();
    return {};
}

void Deliveries::learn_one(const std::string& id, bool acknowledged, int64_t sent_until) {
    auto [at, fresh] = deliveries_.try_emplace(id);
    auto& delivery = at->second;
    if (fresh) delivery = {.stage = Stage::durable, .former = true, .taken = Clock::now()};
    bool waits = delivery.stage == Stage::waiting && delivery.sent_micros <= sent_until;
    if (waits) {  // give() passes over it
        delivery.stage = Stage::durable;
        ++counts_.again;
        be_answered(id, delivery);
    } else if (delivery.former && delivery.stage == Stage::durable && acknowledged && delivery.ack_id.empty()) {
        age(id, delivery);
    } else if (fresh) {
        wait_for_another(id, delivery);
    }
}

// ---- from the service

bool Deliveries::has_room() const {
    size_t outstanding = queue_.size() + given_.size() + to_answer_.size() + being_answered_;
    return outstanding < limits_.outstanding_messages && queue_bytes_ < limits_.waiting_bytes;
}

bool Deliveries::wait_for_room(const std::stop_token& stop) {
    Lock lock(mutex_);
    return room_.wait(lock, stop, [&] { return has_room() || ended_; }) && !ended_;
}

void Deliveries::take(ReceivedList& received, Clock::time_point leased_until, const std::stop_token& stop) {
    Lock lock(mutex_);
    if (received.empty() || !room_.wait(lock, stop, [&] { return has_room() || ended_; }) || ended_) return;
    int64_t at = now().time_since_epoch().count();
    for (auto& one : received) take_one(one, leased_until, at);
    last_taken_ = Clock::now();
    waiting_.notify_one();
    if (!to_answer_.empty()) answers_.notify_one();
}

/// The test by time is for emulators: they count their messages anew when they are started again.
bool Deliveries::is_repeat(const Delivery& known, int64_t sent_micros) const {
    return known.former ? sent_micros <= former_until_ : sent_micros == known.sent_micros;
}

void Deliveries::take_one(Received& received, Clock::time_point leased_until, int64_t received_micros) {
    const std::string& id = received.message().message_id();
    int64_t sent = micros_of(received.message().publish_time());
    auto [at, fresh] = deliveries_.try_emplace(id);
    auto& delivery = at->second;
    bool repeat = !fresh && is_repeat(delivery, sent);
    // Another message of the same name while the first is under way: it waits for its next delivery.
    if (!fresh && !repeat && !delivery.former && delivery.stage != Stage::acknowledged) return;
    delivery.taken = Clock::now();
    delivery.leased_until = leased_until;
    if (repeat) {
        take_again(id, delivery, std::move(*received.mutable_ack_id()));
        return;
    }
    delivery.stage = Stage::waiting;
    delivery.former = false;
    delivery.ack_id = std::move(*received.mutable_ack_id());
    delivery.sent_micros = sent;
    ++counts_.taken;
    size_t bytes = received.ByteSizeLong() + sizeof(Waiting);
    queue_bytes_ += bytes;
    queue_.push_back({std::move(received), bytes, received_micros});
}

void Deliveries::take_again(const std::string& id, Delivery& known, std::string ack_id) {
    ++counts_.repeated;
    known.ack_id = std::move(ack_id);
    if (known.stage == Stage::waiting || known.stage == Stage::given) return;
    ++counts_.again;
    known.stage = Stage::durable;
    be_answered(id, known);
}

// ---- to the reader

size_t Deliveries::most_given() const {
    auto by_bytes = static_cast<size_t>(static_cast<double>(limits_.position_bytes) / bytes_an_id_);
    return std::max<size_t>(1, std::min(limits_.ledger / 2, by_bytes));
}

void Deliveries::give(flow::MessageBatch& batch, uint64_t most_bytes, std::chrono::microseconds longest) {
    std::vector<Waiting> taken;
    {
        Lock lock(mutex_);
        waiting_.wait_for(lock, longest, [&] { return (!queue_.empty() && given_.size() < most_given()) || ended_; });
        uint64_t bytes = batch.bytes();
        while (!queue_.empty() && !ended_ && given_.size() < most_given() && (taken.empty() || bytes < most_bytes)) {
            auto& first = queue_.front();
            const std::string& id = first.message.message().message_id();
            auto found = deliveries_.find(id);
            if (found == deliveries_.end() || found->second.stage != Stage::waiting) {  // another reader's by now
                queue_bytes_ -= first.bytes;
                queue_.pop_front();
                continue;
            }
            auto& delivery = found->second;
            delivery.stage = Stage::given;
            sent_until_ = std::max(sent_until_, delivery.sent_micros);
            given_.push_back(id);
            bytes += first.bytes;
            queue_bytes_ -= first.bytes;
            taken.push_back(std::move(first));
            queue_.pop_front();
        }
        forget();
        room_.notify_one();
    }
    for (const auto& waiting : taken) add(batch, waiting);
}

void Deliveries::add(flow::MessageBatch& batch, const Waiting& waiting) const {
    const auto& message = waiting.message.message();
    flow::Message out;
    out.payload = batch.texts.keep(message.data());
    if (!message.ordering_key().empty()) out.key = batch.texts.keep(message.ordering_key());
    if (auto attributes = attributes_json(waiting.message); !attributes.empty())
        out.attributes = batch.texts.keep(attributes);
    out.position = batch.texts.keep(prefix_ + message.message_id());
    out.sent_micros = micros_of(message.publish_time());
    out.received_micros = waiting.received_micros;
    batch.messages.push_back(out);
}

std::string Deliveries::position() {
    Lock lock(mutex_);
    let_former_age();
    StreamPosition out{.subscription = subscription_,
                       .stream = stream_,
                       .given = confirmed_ + given_.size(),
                       .sent_until = sent_until_};
    for (const auto& [id, delivery] : deliveries_)
        if (delivery.stage == Stage::given || delivery.stage == Stage::durable) out.pending.push_back(id);
    for (const auto& id : acknowledged_)
        if (auto found = deliveries_.find(id); found != deliveries_.end() && found->second.stage == Stage::acknowledged)
            out.acknowledged.push_back(id);
    lock.unlock();
    auto text = out.to_json(limits_.position_bytes);
    if (out.pending.size() < 1000) return text;
    double bytes = static_cast<double>(encode_ids(out.pending).dump().size());
    lock.lock();
    bytes_an_id_ = bytes / static_cast<double>(out.pending.size());
    return text;
}

void Deliveries::let_former_age() {
    if (former_until_ == 0 || Clock::now() - begun_ < former_for) return;
    for (auto& [id, delivery] : deliveries_)
        if (delivery.former && delivery.stage == Stage::durable && delivery.ack_id.empty() &&
            Clock::now() - delivery.taken >= former_for)
            age(id, delivery);
}

void Deliveries::confirm(const StreamPosition& durable) {
    Lock lock(mutex_);
    if (durable.stream != stream_) return;
    while (confirmed_ < durable.given && !given_.empty()) {
        std::string id = std::move(given_.front());
        given_.pop_front();
        ++confirmed_;
        auto& delivery = deliveries_.at(id);
        delivery.stage = Stage::durable;
        be_answered(id, delivery);
    }
    waiting_.notify_one();
    answers_.notify_one();
}

bool Deliveries::quiet() const {
    Lock lock(mutex_);
    return queue_.empty() && to_answer_.empty() && being_answered_ == 0;
}

Deliveries::Clock::time_point Deliveries::last_taken() const {
    Lock lock(mutex_);
    return last_taken_;
}

Deliveries::Counts Deliveries::counts() const {
    Lock lock(mutex_);
    return counts_;
}

// ---- what becomes of a durable message

void Deliveries::be_answered(const std::string& id, Delivery& delivery) {
    if (delivery.ack_id.empty()) return wait_for_another(id, delivery);
    if (!delivery.to_answer) to_answer_.push_back(id);
    delivery.to_answer = true;
}

void Deliveries::age(const std::string& id, Delivery& delivery) {
    delivery.stage = Stage::acknowledged;
    delivery.ack_id.clear();
    if (!delivery.aging) acknowledged_.push_back(id);
    delivery.aging = true;
}

void Deliveries::wait_for_another(const std::string& id, Delivery& delivery) {
    delivery.ack_id.clear();
    if (!delivery.unanswerable) unanswerable_.push_back(id);
    delivery.unanswerable = true;
}

/// The oldest acknowledged, and only where there are none of them others, of which the service has been told nothing that
/// it took.
void Deliveries::forget() {
    while (deliveries_.size() > limits_.ledger + queue_.size() && !(acknowledged_.empty() && unanswerable_.empty())) {
        bool aged = !acknowledged_.empty();
        auto& list = aged ? acknowledged_ : unanswerable_;
        auto found = deliveries_.find(list.front());
        list.pop_front();
        if (found == deliveries_.end()) continue;
        auto& delivery = found->second;
        (aged ? delivery.aging : delivery.unanswerable) = false;
        bool may_go =
            aged ? delivery.stage == Stage::acknowledged : delivery.stage == Stage::durable && delivery.ack_id.empty();
        if (may_go) deliveries_.erase(found);
    }
    while (unanswerable_.size() > limits_.ledger) {
        if (auto found = deliveries_.find(unanswerable_.front()); found != deliveries_.end())
            found->second.unanswerable = false;
        unanswerable_.pop_front();
    }
}

// ---- to the service

std::vector<Deliveries::Answer> Deliveries::to_acknowledge(const std::stop_token& stop) {
    Lock lock(mutex_);
    answers_.wait(lock, stop, [&] { return !to_answer_.empty(); });
    return take_answers();
}

std::vector<Deliveries::Answer> Deliveries::to_acknowledge() {
    Lock lock(mutex_);
    return take_answers();
}

std::vector<Deliveries::Answer> Deliveries::take_answers() {
    std::vector<Answer> out;
    size_t bytes = 0;
    while (!to_answer_.empty() && out.size() < most_answer_ids && bytes < most_answer_bytes) {
        std::string id = std::move(to_answer_.front());
        to_answer_.pop_front();
        auto found = deliveries_.find(id);
        if (found == deliveries_.end()) continue;
        auto& delivery = found->second;
        delivery.to_answer = false;
        if (delivery.ack_id.empty()) {
            wait_for_another(id, delivery);
            continue;
        }
        bytes += delivery.ack_id.size() + 4;
        out.push_back({std::move(id), delivery.ack_id});
    }
    being_answered_ += out.size();
    return out;
}

Deliveries::Delivery* Deliveries::find(const Answer& answer) {
    auto found = deliveries_.find(answer.id);
    // It may have come again meanwhile.
    return found == deliveries_.end() || found->second.ack_id != answer.ack_id ? nullptr : &found->second;
}

void Deliveries::acknowledged(const std::vector<Answer>& answers) {
    Lock lock(mutex_);
    being_answered_ -= answers.size();
    for (const auto& answer : answers)
        if (auto* delivery = find(answer)) age(answer.id, *delivery);
    forget();
    room_.notify_one();
}

void Deliveries::put_back(const std::vector<Answer>& answers) {
    Lock lock(mutex_);
    being_answered_ -= answers.size();
    for (auto answer = answers.rbegin(); answer != answers.rend(); ++answer) {
        auto* delivery = find(*answer);
        if (delivery == nullptr || delivery->to_answer) continue;
        delivery->to_answer = true;
        to_answer_.push_front(answer->id);
    }
    answers_.notify_one();
}

void Deliveries::refused(const std::vector<Answer>& answers) {
    Lock lock(mutex_);
    being_answered_ -= answers.size();
    for (const auto& answer : answers)
        if (auto* delivery = find(answer)) {
            ++counts_.expired;
            wait_for_another(answer.id, *delivery);
        }
    room_.notify_one();
}

std::vector<Deliveries::Answer> Deliveries::to_prolong(Clock::time_point before) {
    Lock lock(mutex_);
    std::vector<Answer> out;
    auto at = Clock::now();
    for (auto& [id, delivery] : deliveries_) {
        if (delivery.ack_id.empty() || delivery.leased_until >= before) continue;
        if (at - delivery.taken > limits_.longest_lease) {
            ++counts_.let_go;
            delivery.leased_until = Clock::time_point::max();
        } else {
            out.push_back({id, delivery.ack_id});
        }
    }
    return out;
}

void Deliveries::prolonged(const std::vector<Answer>& answers, Clock::time_point until) {
    Lock lock(mutex_);
    for (const auto& answer : answers)
        if (auto* delivery = find(answer)) delivery->leased_until = until;
}

void Deliveries::expired(const std::vector<Answer>& answers) {
    Lock lock(mutex_);
    for (const auto& answer : answers)
        if (auto* delivery = find(answer)) {
            ++counts_.expired;
            delivery->ack_id.clear();
        }
}

std::vector<Deliveries::Answer> Deliveries::give_back() {
    Lock lock(mutex_);
    ended_ = true;
    std::vector<Answer> out;
    for (const auto& waiting : queue_) {
        const auto& id = waiting.message.message().message_id();
        auto found = deliveries_.find(id);
        if (found != deliveries_.end() && found->second.stage == Stage::waiting)
            out.push_back({id, found->second.ack_id});
    }
    for (const auto& id : given_) out.push_back({id, deliveries_.at(id).ack_id});
    std::erase_if(out, [](const Answer& answer) { return answer.ack_id.empty(); });
    room_.notify_all();
    waiting_.notify_all();
    return out;
}

}  // namespace penstock::pubsub
