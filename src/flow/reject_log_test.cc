#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>
#include <thread>

#include "flow/reject.h"

namespace penstock::flow {
namespace {

Reject sample(int number, size_t payload_bytes = 10) {
    return {.table = "public.orders",
            .source_position = fmt::format("{}", number),
            .key = fmt::format(R"({{"id":{}}})", number),
            .column = "amount",
            .code = "numeric_overflow",
            .reason = "has precision 41 and scale 3",
            .payload = std::string(payload_bytes, 'x'),
            .received_at = TimePoint(std::chrono::microseconds(number))};
}

std::vector<Reject> all_of(const RejectLog& log) {
    std::vector<Reject> rejects;
    REQUIRE(log.for_each([&](const Reject& reject) -> Status {
        rejects.push_back(reject);
        return {};
    }));
    return rejects;
}

}  // namespace

TEST_CASE("rejects come back whole and in order, from memory and from the file") {
    RejectLog log({.stop = false});
    size_t payload = 10;
    SUBCASE("many") {}
    SUBCASE("large") { payload = 100'000; }  // the byte bound first
    constexpr int count = 2'500;
    for (int i = 0; i < count; ++i) REQUIRE(log.add(sample(i, payload)));
    CHECK(log.size() == count);
    for (int pass = 0; pass < 2; ++pass) {
        auto rejects = all_of(log);
        REQUIRE(rejects.size() == count);
        for (int i = 0; i < count; ++i) {
            const auto& reject = rejects[static_cast<size_t>(i)];
            auto expected = sample(i, payload);
            CHECK(reject.source_position == expected.source_position);
            CHECK(reject.key == expected.key);
            CHECK(reject.payload == expected.payload);
            CHECK(reject.received_at == expected.received_at);
        }
        REQUIRE(log.add(sample(count)));  // after reading, more may come
        CHECK(all_of(log).back().source_position == "2500");
        log.rewind();
        CHECK(log.size() == 0);
        CHECK(all_of(log).empty());
        for (int i = 0; i < count; ++i) REQUIRE(log.add(sample(i, payload)));
    }
}

TEST_CASE("rejects of many threads are all kept") {
    RejectLog log({.stop = false});
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 4; ++thread)
            threads.emplace_back([&log, thread] {
                for (int i = 0; i < 1'000; ++i) CHECK(log.add(sample(thread * 1'000 + i)));
            });
    }
    std::set<std::string> positions;
    for (const auto& reject : all_of(log)) positions.insert(reject.source_position);
    CHECK(positions.size() == 4'000);
}

TEST_CASE("on_reject: stop ends with the first reject and says how to go on") {
    RejectLog log({.stop = true});
    auto stopped = log.add(sample(5));
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().kind == ErrorKind::data);
    CHECK(stopped.error().code == "numeric_overflow");
    CHECK(stopped.error().where == "table public.orders");
    CHECK(stopped.error().message.find(R"(amount of {"id":5}: has precision 41 and scale 3)") != std::string::npos);
    CHECK(stopped.error().hint.find("on_reject: continue") != std::string::npos);
}

TEST_CASE("max_rejects counts over commits, but not what was taken back") {
    RejectLog log({.stop = false, .max_count = 3});
    REQUIRE(log.add(sample(1)));
    REQUIRE(log.add(sample(2)));
    log.settle(log.size());
    CHECK(log.size() == 0);
    CHECK(all_of(log).empty());
    REQUIRE(log.add(sample(3)));
    CHECK_FALSE(log.add(sample(4)));
    log.rewind();
    REQUIRE(log.add(sample(3)));
    auto over = log.add(sample(4));
    REQUIRE_FALSE(over);
    CHECK(over.error().message.find("max_rejects: 3") != std::string::npos);
}

TEST_CASE("max_rejects as a share is judged once all rows are read") {
    RejectLog log({.stop = false, .max_share = 0.05});
    for (int i = 0; i < 6; ++i) REQUIRE(log.add(sample(i)));
    CHECK(log.check_share(120));
    auto over = log.check_share(100);
    REQUIRE_FALSE(over);
    CHECK(over.error().message.find("6 of 100 rows (6%) are more than max_rejects: 5% allows") != std::string::npos);
}

}  // namespace penstock::flow
