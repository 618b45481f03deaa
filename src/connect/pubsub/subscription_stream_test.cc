#include "connect/pubsub/subscription_stream.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

namespace penstock::pubsub {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// A subscription that does as the service would, and as the test says.
class Service {
  public:
    struct Held {
        std::string data, key;
        int deliveries = 0;
        bool acknowledged = false;
        Clock::time_point free_at{};
    };

    void publish(int first, int last) {
        std::lock_guard lock(mutex);
        for (int i = first; i < last; ++i)
            messages[i] = {.data = fmt::format("message {}", i), .key = fmt::format("k{}", i % 3)};
    }
    /// All that was not acknowledged is delivered again, whoever has it.
    void deliver_again(bool acknowledged_too = false) {
        std::lock_guard lock(mutex);
        for (auto& [id, message] : messages) {
            message.free_at = {};
            if (acknowledged_too) message.acknowledged = false;
        }
    }
    int left() {
        std::lock_guard lock(mutex);
        return static_cast<int>(std::ranges::count_if(messages, [](auto& one) { return !one.second.acknowledged; }));
    }
    int leased() {
        std::lock_guard lock(mutex);
        return static_cast<int>(std::ranges::count_if(
            messages, [](auto& one) { return !one.second.acknowledged && one.second.free_at > Clock::now(); }));
    }

    static std::string ack_id(int id, int delivery) { return fmt::format("{}/{}", id, delivery); }
    void hand_out(ReceivedList& out, int most, std::chrono::seconds lease) {
        std::lock_guard lock(mutex);
        for (auto& [id, message] : messages) {
            if (out.size() == most) return;
            if (message.acknowledged || message.free_at > Clock::now()) continue;
            message.free_at = Clock::now() + lease;
            auto* one = out.Add();
            one->set_ack_id(ack_id(id, ++message.deliveries));
            if (attempts) one->set_delivery_attempt(message.deliveries);
            one->mutable_message()->set_data(message.data);
            one->mutable_message()->set_message_id(std::to_string(1'000'000 + id));
            one->mutable_message()->set_ordering_key(message.key);
            one->mutable_message()->mutable_publish_time()->set_seconds(epoch + id);
        }
    }
    AnswerStatus answer(const std::vector<std::string>& ack_ids, const std::function<void(Held&)>& then) {
        std::lock_guard lock(mutex);
        AnswerStatus out;
        for (const auto& ack_id_given : ack_ids) {
            int id = std::stoi(ack_id_given);
            auto& message = messages.at(id);
            bool valid = ack_id_given == ack_id(id, message.deliveries) && message.free_at > Clock::now();
            if (exactly_once && !valid) {
                out.failed[ack_id_given] = "PERMANENT_FAILURE_INVALID_ACK_ID";
                out.status = {.code = Code::failed_precondition, .message = "some are stale"};
            } else if (valid) {
                then(message);
            }
        }
        return out;
    }

    std::mutex mutex;
    std::map<int, Held> messages;
    SubscriptionFacts facts{.ack_deadline = 60s, .dead_letter_topic = "projects/p/topics/dead"};
    bool exactly_once = false, attempts = false;
    int64_t epoch = 1'700'000'000;
    std::atomic<Code> pull_answer = Code::ok;  ///< other than OK: streams break at once
    std::atomic<Code> acknowledge_answer = Code::ok;
    std::atomic<Code> prolong_answer = Code::ok;
    std::atomic<Code> look_answer = Code::ok;
    std::atomic<int> break_after = 0;  ///< so many responses, each time; 0 never
    std::atomic<int> streams = 0, acknowledge_calls = 0, prolong_calls = 0;
};

class Caller : public Subscriber {
  public:
    explicit Caller(Service& service) : service_(service) {}

    Result<SubscriptionFacts> look(const std::stop_token&) override {
        if (service_.look_answer != Code::ok) return fail(call_error({.code = service_.look_answer}, "look"));
        return service_.facts;
    }
    CallStatus stream(const StreamStart& start, const std::function<void(ReceivedList&)>& take,
                      const std::stop_token& stop) override {
        ++service_.streams;
        for (int responses = 1; !stop.stop_requested(); ++responses) {
            if (service_.pull_answer != Code::ok) return {.code = service_.pull_answer};
            ReceivedList received;
            service_.hand_out(received, 7, start.lease);
            if (received.empty()) std::this_thread::sleep_for(1ms);
            else take(received);
            if (service_.break_after > 0 && responses >= service_.break_after) return {.code = Code::unavailable};
        }
        return {.code = Code::cancelled};
    }
    CallStatus pull(int most, ReceivedList& received, const std::stop_token&) override {
        ++service_.streams;
        if (service_.pull_answer != Code::ok) return {.code = service_.pull_answer};
        service_.hand_out(received, most, service_.facts.ack_deadline);
        if (received.empty()) std::this_thread::sleep_for(1ms);
        return {};
    }
    AnswerStatus acknowledge(const std::vector<std::string>& ack_ids, const std::stop_token&) override {
        ++service_.acknowledge_calls;
        if (service_.acknowledge_answer != Code::ok) return {.status = {.code = service_.acknowledge_answer}};
        return service_.answer(ack_ids, [](auto& message) { message.acknowledged = true; });
    }
    AnswerStatus prolong(const std::vector<std::string>& ack_ids, std::chrono::seconds lease,
                         const std::stop_token&) override {
        ++service_.prolong_calls;
        if (service_.prolong_answer != Code::ok) return {.status = {.code = service_.prolong_answer}};
        return service_.answer(ack_ids, [&](auto& message) { message.free_at = Clock::now() + lease; });
    }

  private:
    Service& service_;
};

StreamOptions quick() {
    return {.subscription = "projects/p/subscriptions/s",
            .idle = 30ms,
            .retry_for = 2s,
            .first_delay = 1ms,
            .limits = {.ledger = 1000}};
}

/// A reader, and what a target got by it.
struct Reader {
    explicit Reader(Service& service, const std::optional<std::string>& position = {}, StreamOptions options = quick())
        : stream(std::make_unique<SubscriptionStream>(std::make_unique<Caller>(service), std::move(options))) {
        REQUIRE(stream->connect({}));
        REQUIRE(stream->begin(position));
    }
    /// Until there are so many, or nothing comes for a while.
    size_t read(size_t wanted, std::chrono::milliseconds longest = 2000ms) {
        flow::MessageBatch batch;
        auto end = Clock::now() + longest;
        while (batch.messages.size() < wanted && Clock::now() < end) REQUIRE(stream->receive(batch, 1 << 20));
        for (const auto& message : batch.messages) {
            ++got[std::string(message.payload)];
            attributes = message.attributes;
            place = message.position;
            by_key[std::string(message.key)].emplace_back(message.payload);
        }
        return batch.messages.size();
    }
    void commit() {
        durable = stream->position();
        REQUIRE(stream->confirm(durable));
    }

    std::unique_ptr<SubscriptionStream> stream;
    std::map<std::string, int> got;
    std::map<std::string, std::vector<std::string>> by_key;
    std::string attributes, place, durable;
};

template <class Condition>
bool soon(Condition condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
    return condition();
}

}  // namespace

TEST_CASE("messages come once, and are acknowledged when they are durable") {
    Service service;
    service.attempts = true;
    service.publish(0, 100);
    Reader reader(service);
    CHECK(reader.read(100) == 100);
    CHECK(reader.got.size() == 100);
    CHECK(service.left() == 100);
    CHECK_FALSE(reader.stream->position().empty());
    CHECK(service.left() == 100);
    CHECK(service.acknowledge_calls == 0);
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
    CHECK(reader.place.starts_with("s/10000"));
    CHECK(reader.attributes.find("\"googclient_deliveryattempt\":\"1\",\"googclient_orderingkey\":\"k") == 1);
    CHECK(reader.by_key["k1"].front() == "message 1");
    CHECK(reader.by_key["k1"][1] == "message 4");
}

TEST_CASE("of readers that share a subscription one makes a message durable") {
    Service service;
    service.publish(0, 40);
    Reader one(service);
    CHECK(one.read(40) == 40);
    Reader other(service);
    CHECK(soon([&] { return service.deliver_again(), other.stream->counts().taken == 40; }));
    CHECK(other.read(40) == 40);
    auto target = one.stream->merge(std::nullopt);
    REQUIRE(target);
    auto refused = other.stream->merge(*target);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("40 messages") != std::string::npos);
    CHECK(Reader(service, *target).read(1, 100ms) == 0);
}

TEST_CASE("what another reader has made durable is not given out, and stays remembered") {
    Service service;
    service.publish(0, 30);
    Reader one(service);
    CHECK(one.read(30) == 30);
    Reader other(service);
    CHECK(soon([&] { return service.deliver_again(), other.stream->counts().taken == 30; }));
    auto target = one.stream->merge(std::nullopt);
    auto both = other.stream->merge(*target);
    REQUIRE(both);
    CHECK(other.read(1, 100ms) == 0);
    auto held = StreamPosition::from_json(*both);
    CHECK(held->pending.size() + held->acknowledged.size() == 30);
}

TEST_CASE("only what a position covers is acknowledged") {
    Service service;
    service.publish(0, 50);
    Reader reader(service);
    CHECK(reader.read(50) == 50);
    auto first = reader.stream->position();
    service.publish(50, 80);
    CHECK(reader.read(30) == 30);
    REQUIRE(reader.stream->confirm(first));
    CHECK(soon([&] { return service.left() == 30; }));
    std::this_thread::sleep_for(20ms);
    CHECK(service.left() == 30);
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
}

TEST_CASE("what is delivered again, at whatever moment, is not given out again") {
    Service service;
    service.exactly_once = true;
    service.publish(0, 40);
    Reader reader(service);
    CHECK(soon([&] { return service.leased() == 40; }));
    service.deliver_again();  // waiting
    CHECK(soon([&] { return reader.stream->counts().repeated == 40; }));
    CHECK(reader.read(40) == 40);
    service.deliver_again();  // given out
    CHECK(soon([&] { return reader.stream->counts().repeated == 80; }));
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
    service.deliver_again(true);  // durable
    CHECK(soon([&] { return service.left() == 0; }));
    CHECK(reader.read(1, 30ms) == 0);
    CHECK(reader.stream->counts().again == 40);
    CHECK(reader.stream->counts().taken == 40);
}

TEST_CASE("a killed process's messages are recognised by the next one") {
    Service service;
    service.publish(0, 60);
    Reader killed(service);
    CHECK(killed.read(60) == 60);
    auto durable = killed.stream->position();
    // Nothing the first says arrives any more, and the second is there before its leases end.
    service.acknowledge_answer = service.prolong_answer = Code::unavailable;
    killed.stream.reset();
    service.acknowledge_answer = service.prolong_answer = Code::ok;
    CHECK(service.left() == 60);
    service.deliver_again();
    service.publish(60, 70);
    Reader next(service, durable);
    CHECK(next.read(10) == 10);
    CHECK(next.read(1, 30ms) == 0);
    CHECK(next.got.count("message 59") == 0);
    CHECK(soon([&] { return service.left() == 10; }));
    next.commit();
    CHECK(soon([&] { return service.left() == 0; }));
    // Known still, two positions later.
    service.deliver_again(true);
    Reader third(service, next.durable);
    CHECK(soon([&] { return service.left() == 0; }));
    CHECK(third.read(1, 30ms) == 0);
}

TEST_CASE("an emulator that counts anew is not mistaken for one that delivers again") {
    Service service;
    service.publish(0, 10);
    Reader reader(service);
    CHECK(reader.read(10) == 10);
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
    service.epoch += 1000;
    service.publish(0, 10);
    CHECK(reader.read(10) == 10);
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
    reader.stream.reset();
    service.epoch += 1000;
    service.publish(0, 10);
    Reader next(service, reader.durable);
    CHECK(next.read(10) == 10);
}

TEST_CASE("whoever stops gives back at once") {
    Service service;
    service.publish(0, 30);
    Reader reader(service);
    CHECK(soon([&] { return service.leased() == 30; }));
    CHECK(reader.read(30) == 30);
    reader.commit();
    service.publish(30, 60);
    CHECK(soon([&] { return service.leased() >= 30; }));
    reader.stream.reset();
    CHECK(service.left() == 30);
    CHECK(service.leased() == 0);
}

TEST_CASE("leases are prolonged while a commit takes its time, up to a limit") {
    Service service;
    service.publish(0, 20);
    auto options = quick();
    options.lease = 1s;
    options.limits.longest_lease = 2s;
    Reader reader(service, {}, options);
    CHECK(reader.read(20) == 20);
    std::this_thread::sleep_for(1700ms);
    CHECK(service.leased() == 20);
    CHECK(reader.stream->counts().repeated == 0);
    CHECK(soon([&] { return reader.stream->counts().let_go == 20; }));
    CHECK(soon([&] { return reader.stream->counts().repeated == 20; }));
    CHECK(reader.read(1, 30ms) == 0);
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
}

TEST_CASE("acknowledgements that come too late are made good by the next delivery") {
    Service service;
    service.exactly_once = true;
    service.publish(0, 20);
    Reader reader(service);
    CHECK(reader.read(20) == 20);
    {
        std::lock_guard lock(service.mutex);
        for (auto& [id, message] : service.messages) message.free_at = Clock::now() + 100ms, ++message.deliveries;
    }
    reader.commit();
    CHECK(soon([&] { return reader.stream->counts().expired == 20; }));
    CHECK(soon([&] { return service.left() == 0; }));
    CHECK(reader.read(1, 30ms) == 0);
}

TEST_CASE("lost answers are asked for again") {
    Service service;
    service.publish(0, 20);
    service.acknowledge_answer = Code::unavailable;
    Reader reader(service);
    CHECK(reader.read(20) == 20);
    reader.commit();
    CHECK(soon([&] { return service.acknowledge_calls >= 2; }));
    std::this_thread::sleep_for(40ms);
    CHECK_FALSE(reader.stream->drained());
    service.acknowledge_answer = Code::ok;
    CHECK(soon([&] { return service.left() == 0; }));
    CHECK(soon([&] { return reader.stream->drained(); }));
}

TEST_CASE("a stream that breaks is opened again, and nothing is lost") {
    for (bool streaming : {true, false}) {
        Service service;
        service.break_after = 3;
        service.publish(0, 200);
        auto options = quick();
        options.streaming = streaming;
        Reader reader(service, {}, options);
        CHECK(reader.read(200, 10s) == 200);
        reader.commit();
        CHECK(soon([&] { return service.left() == 0; }));
        CHECK(soon([&] { return service.streams > 1; }));  // one pull may bring all
    }
}

TEST_CASE("a subscription is drained when nothing comes, and not while nobody answers") {
    Service service;
    Reader reader(service);
    CHECK_FALSE(reader.stream->drained());
    CHECK(soon([&] { return reader.stream->drained(); }));
    service.look_answer = Code::unavailable;
    service.pull_answer = Code::unavailable;
    CHECK(soon([&] { return !reader.stream->drained(); }));
    std::this_thread::sleep_for(60ms);
    CHECK_FALSE(reader.stream->drained());
    service.publish(0, 5);
    service.look_answer = service.pull_answer = Code::ok;
    CHECK(reader.read(5) == 5);
    CHECK(soon([&] { return reader.stream->drained(); }));
}

TEST_CASE("what another try does not mend is said") {
    Service service;
    service.pull_answer = Code::permission_denied;
    Reader refused(service);
    flow::MessageBatch batch;
    CHECK(soon([&] { return !refused.stream->receive(batch, 1000); }));
    service.pull_answer = Code::unavailable;
    auto options = quick();
    options.retry_for = 300ms;
    Reader away(service, {}, options);
    CHECK(away.stream->receive(batch, 1000));
    CHECK(soon([&] { return !away.stream->receive(batch, 1000); }));
    auto status = away.stream->receive(batch, 1000);
    CHECK(status.error().kind == ErrorKind::unavailable);
    service.facts.pushes = true;
    SubscriptionStream pushed(std::make_unique<Caller>(service), quick());
    CHECK(pushed.connect({}).error().code == "subscription_pushes");
    CHECK(refused.stream->begin(R"({"offsets": 7})").error().code == "other_checkpoint");
}

TEST_CASE("no more is given out than can be remembered, and the oldest is forgotten") {
    Service service;
    service.publish(0, 500);
    auto options = quick();
    options.limits.ledger = 100;
    Reader reader(service, {}, options);
    CHECK(reader.read(51, 100ms) == 50);
    for (int i = 0; i < 9; ++i) {
        reader.commit();
        CHECK(reader.read(50) == 50);
    }
    reader.commit();
    CHECK(soon([&] { return service.left() == 0; }));
    auto position = StreamPosition::from_json(reader.stream->position());
    REQUIRE(position);
    CHECK(position->pending.size() + position->acknowledged.size() <= 100);
    CHECK(position->acknowledged.size() >= 50);
}

TEST_CASE("whatever happens, each message is durable once, and none is left") {
    for (unsigned seed = 0; seed < 8; ++seed) {
        CAPTURE(seed);
        std::mt19937 chance(seed);
        Service service;
        service.exactly_once = seed % 2 == 0;
        service.break_after = 1 + static_cast<int>(chance() % 30);
        std::map<std::string, int> durable;
        std::optional<std::string> position;
        int published = 0;
        for (int life = 0; life < 10; ++life) {
            auto options = quick();
            options.streaming = chance() % 3 != 0;
            service.publish(published, published + 60);
            published += 60;
            Reader reader(service, position, options);
            for (int segment = 0; segment < 4; ++segment) {
                reader.read(1 + chance() % 30, 20ms);
                if (chance() % 3 == 0) service.deliver_again(chance() % 2 == 0);
                // The commit: rows and position at once.
                position = reader.stream->position();
                for (const auto& [text, times] : reader.got) durable[text] += times;
                reader.got.clear();
                service.acknowledge_answer = chance() % 3 == 0 ? Code::unavailable : Code::ok;
                if (chance() % 3 != 0) REQUIRE(reader.stream->confirm(*position));
            }
            reader.read(chance() % 20, 5ms);  // dies with the process
            if (chance() % 2 == 0) service.prolong_answer = service.acknowledge_answer = Code::unavailable;
            reader.stream.reset();
            service.prolong_answer = service.acknowledge_answer = Code::ok;
            service.deliver_again();
        }
        Reader last(service, position);
        while (service.left() > 0) {
            if (last.read(100, 50ms) == 0 && last.stream->drained()) break;
            last.commit();
            for (const auto& [text, times] : last.got) durable[text] += times;
            last.got.clear();
        }
        CHECK(service.left() == 0);
        CHECK(durable.size() == static_cast<size_t>(published));
        for (const auto& [text, times] : durable) CHECK_MESSAGE(times == 1, text);
    }
}

}  // namespace penstock::pubsub
