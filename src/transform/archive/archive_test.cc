#include "transform/archive/archive.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "transform/archive/index.h"
#include "transform/archive/packing.h"
#include "transform/archive/path.h"
#include "transform/archive/test_archive.h"

namespace penstock::archive {
namespace {

constexpr int64_t second = 1'000'000;
constexpr int64_t hour = 3600 * second;
// 2026-11-21T06:33:33Z
constexpr int64_t start = 1'795'242'813 * second;
constexpr auto all_time = std::pair{TimePoint{}, TimePoint{std::chrono::sys_days{std::chrono::year{3000} / 1 / 1}}};

std::vector<Owned> sorted(std::vector<Owned> messages) {
    std::ranges::sort(messages, {}, &Owned::position);
    return messages;
}

TEST_CASE("payloads of any bytes come back as they were, with all that is known of them") {
    std::vector<Owned> messages = {
        {"orders", R"({"id": 1})", "t/0/1", start, "", "", start - 5},
        {"orders", "two\nlines\n", "t/0/2", start + 1, "key", R"({"a":"ä","n": 1})", start},
        {"orders", "", "t/0/3", start + 2, std::string("\0\xff", 2), "", start},
        {"orders", std::string("\xff\xfe\0not JSON", 12), "p\"\\ö/4", start + 3, "ö", "{}", 0},
        {"wild/../route", std::string(300'000, '\n'), "t/0/5", start + 4, "", "", start},
        {"", "no route", "t/0/6", start + 2 * hour, "", "", start},
    };
    for (auto compression : {ArchiveCompression::none, ArchiveCompression::gzip, ArchiveCompression::zstd}) {
        TestFolder folder;
        ArchiveOptions options{.compression = compression};
        ArchiveWriter writer(*folder.store, "p", options);
        REQUIRE(writer.recover("") == size_t{0});
        for (const auto& one : messages) REQUIRE(writer.add(one.route, one.message(), at(one.sent_micros)));
        CHECK(writer.messages() == 6);
        auto objects = writer.publish(R"({"at":6})");
        REQUIRE(objects);
        CHECK(objects->size() == 3);
        CHECK(writer.messages() == 0);
        auto found = read_all(*folder.store, "p", options, all_time.first, all_time.second);
        REQUIRE_MESSAGE(found, (found ? "" : found.error().text()));
        CHECK(sorted(*found) == sorted(messages));
        for (const auto& name : folder.names()) CHECK(name.find("/..") == name.npos);
    }
}

TEST_CASE("an object of many messages and large ones comes back, its index in several pieces") {
    TestFolder folder;
    ArchiveWriter writer(*folder.store, "p", {});
    std::deque<Owned> messages;
    for (int i = 0; i < 5000; ++i) {
        std::string payload(i % 1000 == 999 ? 600'000 : static_cast<size_t>(i % 200), static_cast<char>('a' + i % 26));
        messages.push_back({"orders", payload, fmt::format("topic/0/{}", i), start + i});
        REQUIRE(writer.add("orders", messages.back().message(), at(start)));
    }
    REQUIRE(writer.publish("1"));
    auto found = read_all(*folder.store, "p", {}, all_time.first, all_time.second);
    REQUIRE_MESSAGE(found, (found ? "" : found.error().text()));
    CHECK(sorted(*found) == sorted({messages.begin(), messages.end()}));
}

TEST_CASE("an uncompressed object is what was sent, a line each, under the name of its first moment") {
    TestFolder folder;
    ArchiveWriter writer(*folder.store, "p", {});
    std::string sent;
    std::deque<Owned> kept;
    for (int i = 0; i < 3; ++i) {
        auto& one = kept.emplace_back(
            Owned{"orders", fmt::format(R"({{"id":{}}})", i), fmt::format("t/0/{}", i), start + i * second});
        sent += one.payload + "\n";
        REQUIRE(writer.add(one.route, one.message(), at(start)));
    }
    auto objects = writer.publish("1");
    REQUIRE(objects);
    REQUIRE(objects->size() == 1);
    const auto& object = objects->front();
    CHECK(object.name == "output/orders/2026/11/21/06/orders_20261121063333.json");
    CHECK(object.messages == 3);
    CHECK(object.first_position == "t/0/0");
    CHECK(object.last_position == "t/0/2");
    CHECK(folder.store->get(object.name) == sent);
    CHECK(folder.names() == std::vector<std::string>{"_penstock/archive/p.json", object.name, object.name + ".index"});
    REQUIRE(writer.finish());
    CHECK(folder.names() == std::vector<std::string>{object.name, object.name + ".index"});
}

TEST_CASE("a name that is there is not written again") {
    TestFolder folder;
    std::string name = "output/r/2026/11/21/06/r_20261121063333.json";
    REQUIRE(folder.store->put(name, "somebody's"));
    Owned one{"r", "mine", "1", start};
    for (int i = 2; i <= 4; ++i) {
        ArchiveWriter writer(*folder.store, i == 4 ? "other" : "p", {});
        REQUIRE(writer.add(one.route, one.message(), at(start)));
        auto objects = writer.publish(fmt::to_string(i));
        REQUIRE(objects);
        CHECK(objects->front().name == fmt::format("output/r/2026/11/21/06/r_20261121063333_{}.json", i));
    }
    CHECK(folder.store->get(name) == "somebody's");
    // Neither is read as ours.
    auto found = read_all(*folder.store, "p", {}, all_time.first, all_time.second);
    REQUIRE(found);
    CHECK(found->size() == 2);
}

TEST_CASE("by event time each hour is an object of its own; what has no writable time is taken by its coming") {
    TestFolder folder;
    ArchiveOptions options{.by = ArchiveTime::event};
    ArchiveWriter writer(*folder.store, "p", options);
    std::vector<int64_t> times = {start, start - 3 * hour, start + 60 * second, start - 3 * hour + second};
    int position = 0;
    std::deque<Owned> kept;
    for (auto time : times) {
        auto& one = kept.emplace_back(Owned{"r", "x", fmt::to_string(position++), start + 10 * hour});
        REQUIRE(writer.add(one.route, one.message(), at(time)));
    }
    Owned wild{"r", "x", "wild", start + 10 * hour};
    REQUIRE(writer.add("r", wild.message(), TimePoint::max()));
    auto objects = writer.publish("1");
    REQUIRE(objects);
    std::vector<std::string> names;
    for (const auto& object : *objects) names.push_back(object.name);
    CHECK(names == std::vector<std::string>{"output/r/2026/11/21/03/r_20261121033333.json",
                                            "output/r/2026/11/21/06/r_20261121063333.json",
                                            "output/r/2026/11/21/16/r_20261121163333.json"});
    ArchiveReader reader(*folder.store, "p", options);
    auto some = reader.objects(at(start - 4 * hour), at(start), {"r"});
    REQUIRE(some);
    CHECK(some->size() == 1);
    CHECK(reader.objects(at(start), at(start + 1), {"r"})->size() == 1);
    CHECK(reader.objects(at(start), at(start + 1), {"s"})->empty());
    CHECK(reader.objects(at(start + 11 * hour), at(start + 9999 * hour), {})->empty());
}

TEST_CASE("a segment is full by bytes or by objects") {
    TestFolder folder;
    ArchiveWriter writer(*folder.store, "p", {.segment_bytes = 10, .segment_objects = 2});
    CHECK(!writer.full());
    Owned one{"a", "12345", "1", start};
    REQUIRE(writer.add("a", one.message(), at(start)));
    CHECK(!writer.full());
    REQUIRE(writer.add("b", one.message(), at(start)));
    CHECK(writer.full());
    REQUIRE(writer.abort());
    CHECK(!writer.full());
    CHECK(folder.names().empty());
    REQUIRE(writer.publish("1"));
    CHECK(folder.names().empty());
}

TEST_CASE("what somebody changed is told, not read") {
    Owned one{"r", "payload of some length", "1", start};
    ArchiveOptions options{.path = "{route}_{yyyyMMdd}.json"};
    auto damage = [&](const std::string& suffix, auto&& change) {
        TestFolder folder;
        ArchiveWriter writer(*folder.store, "p", options);
        REQUIRE(writer.add("r", one.message(), at(start)));
        REQUIRE(writer.add("r", one.message(), at(start)));
        auto name = writer.publish("1")->front().name + suffix;
        auto content = *folder.store->get(name);
        change(content);
        REQUIRE(folder.store->put(name, content));
        auto found = read_all(*folder.store, "p", options, all_time.first, all_time.second);
        REQUIRE(!found);
        CHECK(found.error().code == "archive_damaged");
        CHECK(found.error().message.find("r_20261121.json") != std::string::npos);
    };
    damage("", [](auto& text) { text[3] ^= 1; });
    damage("", [](auto& text) { text += "more\n"; });
    damage("", [](auto& text) { text.resize(text.size() - 1); });
    damage(".index", [](auto& text) { text.resize(text.size() - 3); });
    damage(".index", [](auto& text) { text.resize(10); });
    damage(".index", [](auto& text) { text = "{}\n"; });
    damage(".index", [](auto& text) { text.clear(); });
}

TEST_CASE("neither an index nor a bomb makes the reader take more than a message may have") {
    TestFolder folder;
    auto packed = [](std::string_view text, ArchiveCompression how) {
        std::string out;
        auto packer = Packer::make(how, [&](std::string_view bytes) -> Status {
            out += bytes;
            return {};
        });
        REQUIRE((packer && packer->add(text) && packer->end()));
        return out;
    };
    std::string name = "r_20261121.json.gz";
    std::string bomb = packed(std::string(size_t{64} << 20, ' '), ArchiveCompression::gzip);
    REQUIRE(folder.store->put(name, bomb));
    auto refused = [&](uint64_t bytes, uint64_t length) {
        IndexHeader header{.object = {.name = name,
                                      .route = "r",
                                      .messages = 1,
                                      .bytes = bytes,
                                      .first_position = "1",
                                      .last_position = "1",
                                      .first_time = at(start),
                                      .last_time = at(start),
                                      .sha256 = std::string(64, '0')},
                           .pipeline = "p",
                           .segment = "s"};
        std::string index =
            packed(header_line(header), ArchiveCompression::zstd) +
            packed(fmt::format("{{\"length\":{},\"position\":\"1\",\"received\":1,\"sent\":1}}\n", length),
                   ArchiveCompression::zstd);
        REQUIRE(folder.store->put(name + ".index", index));
        ArchiveReader reader(*folder.store, "p", {.path = "{route}_{yyyyMMdd}.json"});
        auto found = reader.objects(at(start), at(start + 1));
        REQUIRE((found && found->size() == 1));
        auto verified = reader.verify(found->front());
        REQUIRE_FALSE(verified);
        auto opened = reader.open(found->front());
        REQUIRE(opened);
        auto message = (*opened)->next();
        REQUIRE_FALSE(message);
        return verified.error().message + " | " + message.error().message;
    };
    CHECK(refused(10, 10).find("it has 1048576 or more bytes, not 10") != std::string::npos);
    CHECK(refused(uint64_t{1} << 40, uint64_t{1} << 30).find("line 2 of the index is none of ours") !=
          std::string::npos);
}

TEST_CASE("paths that cannot be found again are refused") {
    CHECK(check_archive_path(ArchiveOptions{}.path));
    CHECK(check_archive_path("{pipeline}/{yyyyMMdd}/{route}.ndjson"));
    for (auto [path, why] : {std::pair{"{route}.json", "day"},
                             {"{yyyy}/{MM}/{route}", "day"},
                             {"{yyyyMMdd}.json", "route"},
                             {"{route}/{yyyyMMdd}/", "folder"},
                             {"../{route}{yyyyMMdd}", "part"},
                             {"/{route}{yyyyMMdd}", "part"},
                             {"_x/{route}{yyyyMMdd}", "part"},
                             {"{route}{yyyyMMdd}{hour}", "placeholder"},
                             {"{route}{yyyyMMdd", "placeholder"},
                             {"{route}*{yyyyMMdd}", "character"}}) {
        auto refused = check_archive_path(path);
        REQUIRE_MESSAGE(!refused, path);
        CHECK_MESSAGE(refused.error().message.find(why) != std::string::npos, refused.error().message);
        CHECK(!refused.error().hint.empty());
    }
}

TEST_CASE("marks go before the template's extension, compression behind it") {
    auto name = [](std::string path, ArchiveCompression how, std::string_view route) {
        return object_name({.path = std::move(path), .compression = how}, "p", route, at(start), "_2");
    };
    CHECK(name("{route}_{yyyyMMdd}.json", ArchiveCompression::gzip, "a.b") == "a.b_20261121_2.json.gz");
    CHECK(name("{yyyyMMdd}.{route}", ArchiveCompression::none, "a.b") == "20261121.a.b_2");
    CHECK(name("a.b/{yyyyMMdd}{route}", ArchiveCompression::zstd, "/") == "a.b/20261121%2F_2.zst");
}

TEST_CASE("only the folders of the time and route asked for are listed") {
    ArchiveOptions options;
    auto folders = [&](std::vector<std::string> routes, int64_t length) {
        return folders_of(options, "p", routes, at(start), at(start + length));
    };
    CHECK(folders({"r"}, 1) == std::vector<std::string>{"output/r/2026/11/21/06/"});
    CHECK(folders({"r", "s"}, hour).size() == 4);
    CHECK(folders({"r"}, 800 * hour).size() == 34);  // days
    CHECK(folders({"r"}, 20000 * hour) == std::vector<std::string>{"output/r/"});
    CHECK(folders({}, 1) == std::vector<std::string>{"output/"});
    options.path = "{yyyy}/{MM}/{dd}/{route}_{HH}.json";
    CHECK(folders({}, hour) == std::vector<std::string>{"2026/11/21/"});
}

}  // namespace
}  // namespace penstock::archive
