#include "connect/pubsub/options.h"

#include <doctest/doctest.h>

#include "connect/pubsub/envelope_message.h"
#include "connect/pubsub/source_options.h"

namespace penstock::pubsub {
namespace {

Endpoint endpoint(const char* url) {
    auto parsed = endpoint_of({.value = url});
    REQUIRE_MESSAGE(parsed, url);
    return *parsed;
}

flow::TableInfo orders(bool keyed = true) {
    flow::TableInfo info{.name = "public.orders"};
    if (keyed) info.key = {"id"};
    return info;
}

}  // namespace

TEST_CASE("endpoints") {
    CHECK(endpoint("https://pubsub.googleapis.com").address == "pubsub.googleapis.com:443");
    CHECK(endpoint("https://pubsub.googleapis.com/").encrypted);
    CHECK(endpoint("http://127.0.0.1:8085").address == "127.0.0.1:8085");
    CHECK_FALSE(endpoint("http://[::1]:8085").encrypted);
    CHECK(endpoint("https://[::1]").address == "[::1]:443");
    for (const char* bad : {"", "http://", "127.0.0.1:8085", "ftp://x", "https://user@x", "https://x/path"})
        CHECK_FALSE(endpoint_of({.value = bad}));
}

TEST_CASE("topics of tables") {
    ConnectionOptions connection{.project = {.value = "p"}};
    TargetOptions target;
    CHECK(*topic_of(connection, target, "shop", orders()) == "projects/p/topics/shop.public.orders");
    CHECK(target_name(target, "projects/p/topics/t", orders()) == "projects/p/topics/t");
    target.topic.value = "changes";
    CHECK(*topic_of(connection, target, "shop", orders()) == "projects/p/topics/changes");
    CHECK(target_name(target, "projects/p/topics/changes", orders()) == "projects/p/topics/changes#public.orders");
    for (const char* bad : {"7{table}", "x", "goog.{table}"}) {
        target.topic.value = bad;
        CHECK_FALSE(topic_of(connection, target, "shop", orders()));
    }
}

TEST_CASE("subscriptions") {
    ConnectionOptions connection{.project = {.value = "p"}};
    auto of = [&](const char* given) { return subscription_of(connection, {.subscription = {.value = given}}); };
    CHECK(*of("events-sub") == "projects/p/subscriptions/events-sub");
    CHECK(*of("projects/other/subscriptions/events-sub") == "projects/other/subscriptions/events-sub");
    for (const char* bad : {"", "ab", "7events", "goog-events", "a b c", "projects/p/topics/t",
                            "projects//subscriptions/events", "projects/p/subscriptions/x"})
        CHECK_FALSE(of(bad));
}

TEST_CASE("what waits and what is under way keep within the memory") {
    SourceOptions options;
    auto stream = options.stream("projects/p/subscriptions/s", uint64_t{512} << 20);
    CHECK(stream.limits.waiting_bytes == uint64_t{64} << 20);
    CHECK(stream.limits.outstanding_bytes == uint64_t{320} << 20);
    options.max_outstanding_bytes = config::Bytes{1000};
    CHECK(options.stream("projects/p/subscriptions/s", uint64_t{512} << 20).limits.waiting_bytes == 1000);
}

TEST_CASE("ids name changes, and rows of a snapshot by their keys") {
    MessageMaker maker(orders(), Ordering::key, "shop", "run_1");
    debezium::Message change{.op = 'u', .value = "{}", .position = "00/07"};
    CHECK(maker.id_of(change, R"({"id":1})") == "shop.public.orders/00/07");
    change.op = 'r';
    auto one = maker.id_of(change, R"({"id":1})");
    CHECK(one == maker.id_of(change, R"({"id":1})"));
    CHECK(one != maker.id_of(change, R"({"id":2})"));
    MessageMaker keyless(orders(false), Ordering::key, "shop", "run_1");
    CHECK(keyless.id_of(change, "") != keyless.id_of(change, ""));
}

TEST_CASE("ordering keys") {
    debezium::Message change{.op = 'u', .value = "{}", .position = "00/07"};
    auto key_of = [&](Ordering ordering, bool keyed, std::string_view key) {
        return MessageMaker(orders(keyed), ordering, "shop", "r").make(change, key).ordering_key();
    };
    CHECK(key_of(Ordering::key, true, R"({"id":1})") == R"({"id":1})");
    CHECK(key_of(Ordering::key, false, "") == "public.orders");
    CHECK(key_of(Ordering::table, true, R"({"id":1})") == "public.orders");
    CHECK(key_of(Ordering::none, true, R"({"id":1})").empty());
    std::string large(2000, 'x');
    CHECK(key_of(Ordering::key, true, large).size() == 32);
    CHECK(key_of(Ordering::key, true, large) != key_of(Ordering::key, true, large + "y"));
}

TEST_CASE("attributes keep to what Pub/Sub takes") {
    std::string large(2000, 'x');
    debezium::Message change{
        .op = 'c', .value = "{}", .position = "00/07", .old_key = large, .unavailable = R"(["a"])"};
    auto attributes = MessageMaker(orders(), Ordering::key, "shop", "r").make(change, "{}").attributes();
    CHECK(attributes.at("table") == "public.orders");
    CHECK(attributes.at("op") == "c");
    CHECK(attributes.at("position") == "00/07");
    CHECK(attributes.at("unavailable") == R"(["a"])");
    CHECK_FALSE(attributes.contains("old_key"));
    CHECK_FALSE(attributes.contains("new_key"));
}

}  // namespace penstock::pubsub
