#include "connect/pubsub/publisher.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <random>
#include <thread>

namespace penstock::pubsub {
namespace {

/// A service that answers when the test says so, from the test's thread.
class HeldTransport : public Transport {
  public:
    struct Call {
        std::vector<std::string> data;
        std::string key;
        size_t bytes = 0;
        Done done;
    };

    void publish(const Request& request, Done done) override {
        Call call{.bytes = request.ByteSizeLong(), .done = std::move(done)};
        for (const auto& message : request.messages()) {
            call.data.push_back(message.data());
            if (!call.data.empty() && call.data.size() > 1) CHECK(call.key == message.ordering_key());
            call.key = message.ordering_key();
        }
        on_their_way.push_back(std::move(call));
        most = std::max(most, on_their_way.size());
    }
    void cancel() override {
        while (!on_their_way.empty()) answer(0, Code::cancelled);
    }
    /// An answer of OK means that the service has taken the messages.
    void answer(size_t which, Code code) {
        auto call = std::move(on_their_way[which]);
        on_their_way.erase(on_their_way.begin() + static_cast<ptrdiff_t>(which));
        if (code == Code::ok)
            for (const auto& data : call.data) taken.push_back({call.key, data});
        call.done({.code = code});
    }

    std::vector<Call> on_their_way;
    std::vector<std::pair<std::string, std::string>> taken;
    size_t most = 0;
};

/// Answers at once, as a plan says.
class PromptTransport : public Transport {
  public:
    void publish(const Request& request, Done done) override {
        ++calls;
        CHECK(static_cast<size_t>(request.messages_size()) <= most_request_messages);
        CHECK(request.ByteSizeLong() <= most_request_bytes);
        Code code = next ? next() : Code::ok;
        if (code == Code::ok)
            for (const auto& message : request.messages()) taken[message.ordering_key()].push_back(message.data());
        done({.code = code});
    }
    void cancel() override {}

    std::function<Code()> next;
    std::map<std::string, std::vector<std::string>> taken;
    int calls = 0;
};

Message message(const std::string& key, const std::string& data) {
    Message made;
    made.set_ordering_key(key);
    made.set_data(data);
    return made;
}

PublisherLimits quick() {
    PublisherLimits limits;
    limits.latency = std::chrono::microseconds(0);
    limits.first_delay = std::chrono::microseconds(1);
    limits.longest_delay = std::chrono::microseconds(10);
    return limits;
}

const std::string topic = "projects/p/topics/t";

}  // namespace

TEST_CASE("an ordered key has one request on its way, others do not wait for it") {
    HeldTransport service;
    Publisher publisher(service, quick());
    for (const char* data : {"1", "2", "3"}) REQUIRE(publisher.publish(topic, message("a", data), {}));
    REQUIRE(publisher.publish(topic, message("b", "4"), {}));
    REQUIRE(service.on_their_way.size() == 2);
    CHECK(service.on_their_way[0].data == std::vector<std::string>{"1"});
    CHECK(service.on_their_way[1].data == std::vector<std::string>{"4"});
    service.answer(0, Code::ok);
    REQUIRE(publisher.publish(topic, message("c", "5"), {}));
    CHECK(service.on_their_way.size() == 3);
    service.cancel();
}

TEST_CASE("a failed request is sent again before what came after it") {
    HeldTransport service;
    Publisher publisher(service, quick());
    for (const char* data : {"1", "2", "3"}) REQUIRE(publisher.publish(topic, message("a", data), {}));
    service.answer(0, Code::unavailable);
    CHECK(service.on_their_way.empty());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    REQUIRE(publisher.publish(topic, message("b", "x"), {}));
    REQUIRE(service.on_their_way.size() == 2);
    CHECK(service.on_their_way[0].data == std::vector<std::string>{"1"});
    service.cancel();
}

TEST_CASE("without a key requests are full and as many as may be") {
    HeldTransport service;
    PublisherLimits limits = quick();
    limits.latency = std::chrono::hours(1);
    limits.request_messages = 10;
    limits.requests = 3;
    Publisher publisher(service, limits);
    for (int i = 0; i < 55; ++i) REQUIRE(publisher.publish(topic, message("", std::to_string(i)), {}));
    CHECK(service.on_their_way.size() == 3);
    for (const auto& call : service.on_their_way) CHECK(call.data.size() == 10);
    service.answer(1, Code::ok);
    REQUIRE(publisher.publish(topic, message("", "more"), {}));
    CHECK(service.on_their_way.size() == 3);
    CHECK(service.most == 3);
    service.cancel();
}

TEST_CASE("requests keep within bytes, and a message's own limit is known beforehand") {
    PromptTransport service;
    PublisherLimits limits = quick();
    limits.latency = std::chrono::hours(1);
    limits.request_bytes = most_request_bytes;
    limits.held_bytes = size_t{100} << 20;
    Publisher publisher(service, limits);
    size_t bytes = 0;
    CHECK(Publisher::fits(topic, message("a", std::string(most_request_bytes - 100, 'x')), bytes));
    CHECK_FALSE(Publisher::fits(topic, message("a", std::string(most_request_bytes, 'x')), bytes));
    for (int i = 0; i < 5; ++i) REQUIRE(publisher.publish(topic, message("a", std::string(4'000'000, 'x')), {}));
    REQUIRE(publisher.publish(topic, message("a", std::string(most_request_bytes - 100, 'x')), {}));
    REQUIRE(publisher.flush({}));
    CHECK(service.taken["a"].size() == 6);
    CHECK(service.calls == 4);
}

TEST_CASE("what another try cannot mend ends it, and abort begins anew") {
    PromptTransport service;
    Publisher publisher(service, quick());
    service.next = [] { return Code::permission_denied; };
    static_cast<void>(publisher.publish(topic, message("a", "1"), {}));
    auto flushed = publisher.flush({});
    REQUIRE_FALSE(flushed);
    CHECK(flushed.error().kind == ErrorKind::refused);
    CHECK_FALSE(publisher.publish(topic, message("a", "2"), {}));
    publisher.abort();
    service.next = nullptr;
    REQUIRE(publisher.publish(topic, message("a", "3"), {}));
    REQUIRE(publisher.flush({}));
    CHECK(service.taken["a"] == std::vector<std::string>{"3"});
}

TEST_CASE("a service that stays away is given up after a while") {
    PromptTransport service;
    PublisherLimits limits = quick();
    limits.retry_for = std::chrono::milliseconds(20);
    Publisher publisher(service, limits);
    service.next = [] { return Code::unavailable; };
    static_cast<void>(publisher.publish(topic, message("a", "1"), {}));
    auto flushed = publisher.flush({});
    REQUIRE_FALSE(flushed);
    CHECK(flushed.error().kind == ErrorKind::unavailable);
    CHECK(service.calls > 3);
}

TEST_CASE("a stop ends a wait") {
    HeldTransport service;
    Publisher publisher(service, quick());
    REQUIRE(publisher.publish(topic, message("a", "1"), {}));
    std::stop_source stop;
    stop.request_stop();
    auto flushed = publisher.flush(stop.get_token());
    REQUIRE_FALSE(flushed);
    CHECK(flushed.error().kind == ErrorKind::interrupted);
}

TEST_CASE("whatever fails and however it is batched, each key's messages are taken once and in order") {
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::mt19937 chance(seed);
        PromptTransport service;
        PublisherLimits limits = quick();
        limits.request_messages = 1 + chance() % 20;
        limits.request_bytes = 100 + chance() % 1000;
        limits.held_bytes = 200 + chance() % 5000;
        limits.requests = 1 + chance() % 8;
        limits.latency = std::chrono::microseconds(chance() % 3 * 50);
        unsigned share = chance() % 3;
        service.next = [&] { return chance() % 4 < share ? Code::unavailable : Code::ok; };
        Publisher publisher(service, limits);
        std::map<std::string, std::vector<std::string>> sent;
        for (int i = 0; i < 300; ++i) {
            std::string key = fmt::format("k{}", chance() % 7);
            sent[key].push_back(std::to_string(i));
            REQUIRE(publisher.publish(topic, message(key, sent[key].back()), {}));
            if (chance() % 50 == 0) REQUIRE(publisher.flush({}));
        }
        REQUIRE(publisher.flush({}));
        CHECK(service.taken == sent);
    }
}

}  // namespace penstock::pubsub
