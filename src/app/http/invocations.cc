#include "app/http/invocations.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/http/answer.h"
#include "app/http/message_run.h"
#include "base/log.h"

namespace penstock::app::http {

Invocations::Invocations(const config::Document& document, Settings settings)
    : document_(document), settings_(settings), turns_(std::make_unique<Turns>()) {
    for (size_t i = 0; i < settings_.workers; ++i) workers_.emplace_back([this] { work(); });
}

Invocations::~Invocations() { drain(std::chrono::milliseconds(0)); }

Invocations::Hold::~Hold() {
    std::lock_guard lock(owner_.mutex_);
    owner_.holds_.erase(key_);
}

std::unique_ptr<Invocations::Hold> Invocations::hold(const std::string& pipeline, const std::string& id) {
    std::lock_guard lock(mutex_);
    if (!holds_.emplace(pipeline, id).second) return nullptr;
    return std::make_unique<Hold>(*this, pipeline, id);
}

bool Invocations::has_room() const {
    std::lock_guard lock(mutex_);
    return !draining_ && waiting_.size() < settings_.most_waiting;
}

bool Invocations::is_draining() const {
    std::lock_guard lock(mutex_);
    return draining_;
}

size_t Invocations::under_way() const {
    std::lock_guard lock(mutex_);
    return waiting_.size() + running_.size();
}

size_t Invocations::busy() const {
    std::lock_guard lock(mutex_);
    return running_.size();
}

std::vector<std::string> Invocations::held() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> all(running_.begin(), running_.end());
    for (const auto& order : waiting_) all.push_back(order.message.invocation);
    return all;
}

void Invocations::submit(Order order) {
    {
        std::lock_guard lock(mutex_);
        if (!draining_) {
            waiting_.push_back(std::move(order));
            wake_.notify_one();
            return;
        }
    }
    give_back(document_, order);
}

void Invocations::work() {
    while (true) {
        Order order;
        {
            std::unique_lock lock(mutex_);
            while (true) {
                wake_.wait(lock, [this] { return draining_ || !waiting_.empty(); });
                if (draining_ || running_.size() + settings_.others() < settings_.workers) break;
                // Scheduled runs, which have the same workers, end without a word to us.
                wake_.wait_for(lock, std::chrono::milliseconds(200));
            }
            if (waiting_.empty()) return;
            order = std::move(waiting_.front());
            waiting_.pop_front();
            running_.insert(order.message.invocation);
        }
        carry_out(order, stop_.get_token());
        std::string invocation = order.message.invocation;
        order.hold.reset();
        std::lock_guard lock(mutex_);
        running_.erase(invocation);
        idle_.notify_all();
    }
}

void Invocations::carry_out(Order& order, std::stop_token stop) {
    Response answer;
    try {
        answer = run_message(document_, order.message, order.parameters, *turns_, std::move(stop));
    } catch (const std::exception& error) {
        log::error("message {} of {} failed by an unexpected exception: {}", order.message.id, order.message.pipeline,
                   error.what());
        answer = error_answer(500, "unexpected_exception", "the message could not be worked on", "look into the log");
    }
    order.hold.reset();  // before the answer: whoever gets it may send the message
                         // again at once
    if (order.reply) order.reply->send(std::move(answer));
}

void Invocations::drain(std::chrono::milliseconds most) {
    std::deque<Order> given_back;
    {
        std::unique_lock lock(mutex_);
        draining_ = true;
        given_back.swap(waiting_);
        wake_.notify_all();
    }
    for (auto& order : given_back) give_back(document_, order);
    given_back.clear();
    {
        std::unique_lock lock(mutex_);
        if (!idle_.wait_for(lock, most, [this] { return running_.empty(); })) {
            log::warning(
                "{} messages are still worked on; what is not committed "
                "will be taken back",
                running_.size());
            stop_.request_stop();
        }
    }
    for (auto& worker : workers_)
        if (worker.joinable()) worker.join();
}

}  // namespace penstock::app::http
