#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "connect/postgres/capture/test_change_log.h"

namespace penstock::postgres::change_log_test {
namespace {

TEST_CASE("a transaction larger than memory lies on disk, and leaves it as it is read") {
    constexpr size_t memory = size_t{4} << 20;
    Fixture with(memory);
    REQUIRE(with.log->begin(1));
    constexpr uint64_t changes = 200'000;
    std::string tuple(200, 'x');
    size_t peak = 0;
    for (uint64_t i = 0; i < changes; ++i) {
        std::string number = std::to_string(i);
        with.add(1, i % 3, number + tuple.substr(number.size()));
        if (i % 1000 == 0) peak = std::max(peak, with.log->usage().memory_bytes);
    }
    CHECK(peak <= memory);
    auto usage = with.log->usage();
    CHECK(usage.disk_bytes > changes * 224 - memory);
    CHECK(with.disk_in_truth() >= usage.disk_bytes);
    CHECK(fs::is_empty(with.folder));
    with.commit(1, 1000);
    auto segment = with.take();
    CHECK(segment.records == changes);
    uint64_t seen = 0, before = with.disk_in_truth();
    for (auto& run : segment.runs) {
        ChangeChunk chunk;
        uint64_t expected = run->table();
        while (true) {
            REQUIRE(run->next(chunk));
            if (chunk.records().empty()) break;
            for (const auto& record : chunk.records()) {
                REQUIRE(record.ordinal == expected);
                REQUIRE(record.new_tuple.starts_with(std::to_string(expected) + "x"));
                expected += 3;
                ++seen;
            }
        }
        CHECK(with.disk_in_truth() < before);
        before = with.disk_in_truth();
        CHECK(with.log->usage().memory_bytes <= memory + (size_t{3} << 20));
    }
    CHECK(seen == changes);
    CHECK(with.log->usage().disk_bytes == 0);
    CHECK(with.disk_in_truth() == 0);
}

TEST_CASE("what is aborted or not read frees its disk") {
    Fixture with(size_t{1} << 20, uint64_t{1} << 30, size_t{64} << 10);
    std::string tuple(1000, 'x');
    for (uint32_t xid : {1, 2, 3}) REQUIRE(with.log->begin(xid));
    for (int i = 0; i < 6000; ++i) with.add(1 + i % 3, 0, tuple, i % 3 == 1 && i > 3000 ? 50 : 0);
    auto full = with.disk_in_truth();
    CHECK(full > 4'000'000);
    with.log->abort(1);
    CHECK(with.disk_in_truth() < full - 1'000'000);
    full = with.disk_in_truth();
    REQUIRE(with.log->abort_sub(2, 50));
    CHECK(with.disk_in_truth() < full);
    with.commit(2, 10);
    with.commit(3, 20);
    {
        auto segment = with.take();
        CHECK(segment.records == 3000);
        ChangeChunk chunk;
        REQUIRE(segment.runs[0]->next(chunk));
    }
    CHECK(with.log->usage().disk_bytes == 0);
    CHECK(with.disk_in_truth() == 0);
}

TEST_CASE("a record larger than a block is held like any other") {
    Fixture with(size_t{1} << 20, uint64_t{1} << 30, size_t{64} << 10);
    std::string large(3'000'000, 'y');
    REQUIRE(with.log->begin(1));
    for (const auto& text : {std::string("a"), large, std::string("b"), large}) with.add(1, 0, text);
    CHECK(with.log->usage().disk_bytes > 3'000'000);
    with.commit(1, 1);
    auto segment = with.take();
    auto seen = texts(segment);
    REQUIRE(seen.size() == 4);
    CHECK(seen[1] == "0:1/1 c >" + large);
    CHECK(seen[2] == "0:1/2 c >b");
    CHECK(with.disk_in_truth() == 0);
}

TEST_CASE("beyond the disk's limit a change is refused, and says what to raise") {
    Fixture with(size_t{1} << 20, size_t{2} << 20, size_t{64} << 10);
    REQUIRE(with.log->begin(1));
    REQUIRE(with.log->begin(2));
    with.add(2, 0, "small");
    std::string tuple(1000, 'x');
    Status status;
    for (int i = 0; i < 10'000 && status; ++i) status = with.log->append(1, 0, {.table = 0, .new_tuple = tuple});
    REQUIRE(!status);
    CHECK(status.error().kind == ErrorKind::capacity);
    CHECK(status.error().code == "spill_limit");
    CHECK(status.error().text().find("2.0 MiB") != std::string::npos);
    CHECK(status.error().hint.find("`spill_limit`") != std::string::npos);
    CHECK(status.error().where == with.folder.string());
    CHECK(!with.log->commit(1, 5, 6, 0));
    with.log->abort(1);
    CHECK(with.disk_in_truth() == 0);
    with.commit(2, 10);
    auto segment = with.take();
    CHECK(texts(segment) == Texts{"0:10/0 c >small"});
}

TEST_CASE("a full disk and a missing folder are errors with a way out") {
    Fixture with(size_t{1} << 20, uint64_t{1} << 30, size_t{64} << 10);
    std::string tuple(1000, 'x');
    auto fill = [&](uint32_t xid) {
        REQUIRE(with.log->begin(xid));
        Status status;
        for (int i = 0; i < 10'000 && status; ++i) status = with.log->append(xid, 0, {.table = 0, .new_tuple = tuple});
        return status;
    };
    SUBCASE("full") {
        rlimit before{};
        ::getrlimit(RLIMIT_FSIZE, &before);
        auto handler = std::signal(SIGXFSZ, SIG_IGN);
        rlimit small{.rlim_cur = 1'000'000, .rlim_max = before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &small);
        auto status = fill(1);
        ::setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, handler);
        REQUIRE(!status);
        CHECK(status.error().kind == ErrorKind::capacity);
        CHECK(status.error().code == "spill_disk_full");
        CHECK(status.error().where == with.folder.string());
        with.log->abort(1);
        CHECK(with.log->usage().disk_bytes == 0);
        CHECK(fill(2));
    }
    SUBCASE("missing") {
        fs::remove_all(with.folder);
        auto status = fill(1);
        REQUIRE(!status);
        CHECK(status.error().kind == ErrorKind::configuration);
        CHECK(status.error().hint.find("`spill_directory`") != std::string::npos);
    }
}

TEST_CASE("the stream goes on while several threads read") {
    Fixture with(size_t{2} << 20, uint64_t{1} << 30, size_t{64} << 10);
    constexpr uint32_t transactions = 400, changes = 500, tables = 3;
    auto text = [](uint32_t xid, uint32_t i) { return fmt::format("{}.{}{}", xid, i, std::string(i % 300, '.')); };
    std::jthread stream([&] {
        for (uint32_t xid = 1; xid <= transactions; ++xid) {
            CHECK(with.log->begin(xid));
            for (uint32_t i = 0; i < changes; ++i)
                CHECK(with.log->append(xid, 0, {.table = i % tables, .new_tuple = text(xid, i)}));
            CHECK(with.log->commit(xid, xid, xid, 0));
        }
    });
    std::atomic<uint64_t> seen = 0, wrong = 0;
    for (uint64_t done = 0; done < transactions;) {
        auto segment = with.take({.records = 20'000});
        done += segment.transactions;
        std::vector<std::jthread> readers;
        for (auto& run : segment.runs) {
            for (int i = 0; i < 2; ++i) {
                readers.emplace_back([&, run = run.get()] {
                    ChangeChunk chunk;
                    while (run->next(chunk) && !chunk.records().empty()) {
                        for (const auto& record : chunk.records())
                            wrong += record.new_tuple != text(record.commit.xid, static_cast<uint32_t>(record.ordinal));
                        seen += chunk.records().size();
                    }
                });
            }
        }
    }
    CHECK(seen == transactions * changes);
    CHECK(wrong == 0);
    CHECK(with.log->usage().disk_bytes == 0);
}

}  // namespace
}  // namespace penstock::postgres::change_log_test
