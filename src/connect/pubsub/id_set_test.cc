#include "connect/pubsub/id_set.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "connect/pubsub/stream_position.h"

namespace penstock::pubsub {
namespace {

std::vector<std::string> sorted(std::vector<std::string> ids) {
    std::sort(ids.begin(), ids.end());
    return ids;
}

void there_and_back(const std::vector<std::string>& ids) {
    auto back = decode_ids(nlohmann::json::parse(encode_ids(ids).dump()));
    REQUIRE(back);
    CHECK(sorted(*back) == sorted(ids));
}

}  // namespace

TEST_CASE("ids come back, whatever they are") {
    there_and_back({});
    there_and_back({"0"});
    there_and_back({"18446744073709551615", "0", "1"});
    there_and_back({"18446744073709551616", "007", "-1", "", "m", "m0", "m17", "m017", "a-long-prefix-of-9", "x1y2"});
    std::mt19937_64 chance(7);
    for (int round = 0; round < 200; ++round) {
        std::vector<std::string> ids;
        for (size_t i = 0; i < chance() % 100; ++i) ids.push_back(std::to_string(chance() >> (chance() % 64)));
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        there_and_back(ids);
    }
}

TEST_CASE("ids take few bytes") {
    std::vector<std::string> neighbours, scattered;
    std::mt19937_64 chance(7);
    for (uint64_t i = 0; i < 30'000; ++i) {
        neighbours.push_back(std::to_string(7'526'492'193'587'041 + i));
        scattered.push_back(std::to_string(7'526'492'193'587'041 + chance() % 1'000'000'000'000));
    }
    CHECK(encode_ids(neighbours).dump().size() < 30'000 * 3 / 2);
    CHECK(encode_ids(scattered).dump().size() < 30'000 * 6);
}

TEST_CASE("what is no set of ids is refused") {
    for (const char* bad :
         {R"({})", R"({"numbered": {"": "gICA"}, "texts": []})", R"({"numbered": {"": "?"}, "texts": []})",
          R"({"numbered": {"": 7}, "texts": []})", R"({"numbered": {}, "texts": [1]})",
          R"({"numbered": {"": "////////////////////"}, "texts": []})"})
        CHECK_FALSE(decode_ids(nlohmann::json::parse(bad)));
}

TEST_CASE("a position keeps all that is pending, and of the acknowledged the newest that fit") {
    StreamPosition position{.subscription = "projects/p/subscriptions/s", .stream = "x", .given = 7, .sent_until = 9};
    std::mt19937_64 chance(7);
    for (int i = 0; i < 1000; ++i) position.pending.push_back(std::to_string(chance()));
    for (int i = 0; i < 5000; ++i) position.acknowledged.push_back(std::to_string(chance()));
    auto text = position.to_json(40'000);
    CHECK(text.size() <= 40'000);
    CHECK(text.size() > 30'000);
    auto back = StreamPosition::from_json(text);
    REQUIRE(back);
    CHECK(back->given == 7);
    CHECK(back->sent_until == 9);
    CHECK(sorted(back->pending) == sorted(position.pending));
    REQUIRE(back->acknowledged.size() < 5000);
    std::vector<std::string> newest(position.acknowledged.end() - static_cast<ptrdiff_t>(back->acknowledged.size()),
                                    position.acknowledged.end());
    CHECK(sorted(back->acknowledged) == sorted(newest));
    auto least = StreamPosition::from_json(position.to_json(0));
    REQUIRE(least);
    CHECK(least->pending.size() == 1000);
    CHECK(least->acknowledged.empty());
    CHECK_FALSE(StreamPosition::from_json(R"({"topics": {}})"));
    CHECK_FALSE(StreamPosition::from_json("7"));
}

}  // namespace penstock::pubsub
