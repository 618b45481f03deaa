#include "transform/archive/message_stream.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "transform/archive/test_archive.h"

namespace penstock::archive {
namespace {

constexpr int64_t second = 1'000'000;
constexpr int64_t start = 1'795'242'813 * second;
constexpr int count = 30;

/// A message each ten minutes, on two routes.
Owned message(int number) {
    return {.route = number % 2 == 0 ? "a" : "b",
            .payload = fmt::format("line {}\nof two", number),
            .position = fmt::format("topic/0/{}", number),
            .received_micros = start + number * 600 * second,
            .key = number % 3 == 0 ? "key" : "",
            .attributes = R"({"n":1})",
            .sent_micros = start};
}

void write(io::ObjectStore& store) {
    ArchiveWriter writer(store, "p", {});
    std::deque<Owned> kept;
    for (int i = 0; i < count; ++i) {
        const auto& one = kept.emplace_back(message(i));
        REQUIRE(writer.add(one.route, one.message(), at(start)));
        if (i % 7 == 6) REQUIRE(writer.publish(fmt::to_string(i)));
    }
    REQUIRE(writer.publish("end"));
}

std::vector<std::string> drain(ArchiveStream& stream, uint64_t most_bytes) {
    std::vector<std::string> positions;
    for (int rounds = 0; !stream.drained(); ++rounds) {
        REQUIRE(rounds < 1000);
        flow::MessageBatch batch;
        REQUIRE(stream.receive(batch, most_bytes));
        for (const auto& one : batch.messages) {
            positions.emplace_back(one.position);
            auto expected = message(std::stoi(positions.back().substr(8)));
            CHECK(one.payload == expected.payload);
            CHECK(one.key == expected.key);
            CHECK(one.attributes == expected.attributes);
            CHECK(one.received_micros == expected.received_micros);
            CHECK(one.sent_micros == expected.sent_micros);
        }
    }
    std::ranges::sort(positions);
    return positions;
}

ReplayRange range(int first, int end, std::vector<std::string> routes = {}) {
    return {.from = at(message(first).received_micros), .to = at(message(end).received_micros), .routes = routes};
}

TEST_CASE("messages of a range and route come as they came first") {
    TestFolder folder;
    write(*folder.store);
    struct Case {
        ReplayRange range;
        size_t messages;
    };
    for (const auto& [wanted, messages] :
         {Case{range(0, count), 30}, Case{range(3, 11), 8}, Case{range(3, 11, {"a"}), 4},
          Case{range(3, 11, {"a", "b"}), 8}, Case{range(3, 11, {"c"}), 0}, Case{range(5, 5), 0}}) {
        ArchiveStream stream(folder.store, "p", {}, wanted);
        auto there = stream.connect({});
        REQUIRE(there);
        CHECK(*there >= static_cast<int64_t>(messages));
        REQUIRE(stream.begin(std::nullopt));
        CHECK(drain(stream, 200).size() == messages);
    }
}

TEST_CASE("a replay goes on behind any position") {
    TestFolder folder;
    write(*folder.store);
    ArchiveStream first(folder.store, "p", {}, range(0, count));
    REQUIRE(first.connect({}));
    REQUIRE(first.begin(std::nullopt));
    size_t seen = 0;
    while (!first.drained()) {
        flow::MessageBatch batch;
        REQUIRE(first.receive(batch, 1));
        seen += batch.messages.size();
        ArchiveStream next(folder.store, "p", {}, range(0, count));
        REQUIRE(next.connect({}));
        REQUIRE(next.begin(first.position()));
        CHECK(drain(next, 1000).size() == count - seen);
    }
    CHECK(seen == count);
    ArchiveStream other(folder.store, "p", {}, range(0, count));
    REQUIRE(other.connect({}));
    for (auto wrong : {"", "{}", R"({"object":"x","messages":1})", R"({"object":1})"})
        CHECK(other.begin(std::string(wrong)).error().code == "archive_position");
}

TEST_CASE("nothing of a damaged object is given out") {
    TestFolder folder;
    write(*folder.store);
    for (const auto& name : folder.names())
        if (name.ends_with(".json") && name.starts_with("output/"))
            REQUIRE(folder.store->put(name, *folder.store->get(name) + "x"));
    ArchiveStream stream(folder.store, "p", {}, range(0, count));
    REQUIRE(stream.connect({}));
    REQUIRE(stream.begin(std::nullopt));
    flow::MessageBatch batch;
    CHECK(stream.receive(batch, 1000).error().code == "archive_damaged");
    CHECK(batch.messages.empty());
}

}  // namespace
}  // namespace penstock::archive
