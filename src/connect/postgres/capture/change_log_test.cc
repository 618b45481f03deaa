#include "connect/postgres/capture/test_change_log.h"

namespace penstock::postgres::change_log_test {
namespace {

TEST_CASE("a transaction's changes come back by table, with their place in the transaction") {
    Fixture with;
    REQUIRE(with.log->begin(7));
    REQUIRE(with.log->append(7, 0, {.table = 2, .op = 'c', .flags = 5, .schema = 9, .new_tuple = "new"}));
    REQUIRE(with.log->append(7, 7, {.table = 1, .op = 'u', .flags = 8, .old_tuple = "old", .new_tuple = ""}));
    REQUIRE(with.log->append(7, 0, {.table = 2, .op = 'd', .old_tuple = "old"}));
    with.commit(7, 100, 4711);
    auto segment = with.take();
    CHECK(segment.transactions == 1);
    CHECK(segment.records == 3);
    CHECK(segment.last_commit_lsn == 100);
    CHECK(segment.end_lsn == 108);
    CHECK(segment.first_commit_time == 4711);
    REQUIRE(segment.runs.size() == 2);
    CHECK(segment.runs[1]->records() == 2);
    CHECK(segment.runs[1]->flags() == 5);
    ChangeChunk chunk;
    REQUIRE(segment.runs[1]->look(chunk));
    REQUIRE(chunk.records().size() == 2);
    CHECK(chunk.records()[0].schema == 9);
    CHECK(chunk.records()[0].flags == 5);
    CHECK(chunk.records()[0].commit.xid == 7);
    CHECK(chunk.records()[0].commit.time == 4711);
    CHECK(texts(segment) == Texts{"1:100/1 u old>", "2:100/0 c >new", "2:100/2 d old>"});
    CHECK(with.take().transactions == 0);
}

TEST_CASE("transactions in blocks among each other come in the order of their commits") {
    Fixture with;
    for (uint32_t xid : {1, 2, 3}) REQUIRE(with.log->begin(xid));
    with.add(1, 0, "a");
    with.add(2, 0, "b");
    with.add(3, 0, "x");
    with.add(1, 1, "c");
    with.add(2, 0, "d");
    with.log->abort(3);
    with.commit(2, 10);
    with.add(1, 0, "e");
    with.commit(1, 20);
    auto segment = with.take();
    CHECK(segment.transactions == 2);
    CHECK(texts(segment) == Texts{"0:10/0 c >b", "0:10/1 c >d", "0:20/0 c >a", "0:20/2 c >e", "1:20/1 c >c"});
}

TEST_CASE("a truncate stands in every table it names, with one ordinal") {
    Fixture with;
    REQUIRE(with.log->begin(1));
    with.add(1, 0, "a");
    std::vector<Change> tables{{.table = 0, .op = 't', .schema = 3}, {.table = 4, .op = 't'}};
    REQUIRE(with.log->truncate(1, 0, tables));
    with.add(1, 0, "b");
    with.commit(1, 10);
    auto segment = with.take();
    CHECK(segment.records == 4);
    CHECK(texts(segment) == Texts{"0:10/0 c >a", "0:10/1 t >", "0:10/2 c >b", "4:10/1 t >"});
}

TEST_CASE("aborted subtransactions leave nothing, not even a gap in the ordinals") {
    Fixture with;
    REQUIRE(with.log->begin(10));
    with.add(10, 0, "kept");
    with.add(10, 0, "child first",
             12);  // savepoint in a savepoint: the outer one's xid is lower, its first change later
    with.add(10, 1, "outer", 11);
    with.add(10, 0, "another child", 13);
    with.add(10, 0, "outer again", 11);
    for (uint32_t sub : {12, 13, 11}) REQUIRE(with.log->abort_sub(10, sub));
    with.add(10, 1, "after");
    with.add(10, 0, "released", 14);
    REQUIRE(with.log->abort_sub(10, 99));  // nothing of it was sent
    REQUIRE(with.log->abort_sub(77, 78));
    with.commit(10, 5);
    auto segment = with.take();
    CHECK(segment.records == 3);
    CHECK(texts(segment) == Texts{"0:5/0 c >kept", "0:5/2 c >released", "1:5/1 c >after"});
}

TEST_CASE("a segment ends with the last whole transaction within its limits") {
    Fixture with;
    for (uint32_t xid = 1; xid <= 6; ++xid) {
        REQUIRE(with.log->begin(xid));
        for (uint32_t i = 0; i < xid; ++i) with.add(xid, i % 2, "12345678");
        with.commit(xid, xid, xid * 1000);
    }
    CHECK(with.take({.records = 5}).transactions == 2);
    CHECK(with.take({.bytes = (3 + 4) * 32 - 1}).records == 3);
    CHECK(with.take({.span = std::chrono::microseconds(1000)}).last_commit_lsn == 5);
    CHECK(with.log->usage().queued_records == 6);
    auto last = with.take({.records = 1});  // at least one
    CHECK(last.records == 6);
    CHECK(texts(last).front() == "0:6/0 c >12345678");
    CHECK(with.take().transactions == 0);
}

TEST_CASE("tens of thousands of tiny transactions share blocks") {
    Fixture with;
    constexpr uint32_t transactions = 20'000, tables = 5;
    for (uint32_t xid = 1; xid <= transactions; ++xid) {
        REQUIRE(with.log->begin(xid));
        for (uint32_t i = 0; i < 2 * tables; ++i) with.add(xid, i % tables, std::to_string(i));
        with.commit(xid, xid);
    }
    CHECK(with.log->usage().disk_bytes == 0);
    auto segment = with.take({.records = 150'000});
    CHECK(segment.transactions == 15'000);
    REQUIRE(segment.runs.size() == tables);
    for (auto& run : segment.runs) {
        ChangeChunk chunk;
        uint64_t records = 0, chunks = 0;
        for (; run->next(chunk) && !chunk.records().empty(); ++chunks) records += chunk.records().size();
        CHECK(records == 30'000);
        CHECK(chunks <= 30'000 / 2048 + 2);
    }
    CHECK(with.take().records == 50'000);
}

TEST_CASE("a chunk outlives its run, its segment and the log") {
    Fixture with(0, uint64_t{1} << 30, 4096);
    ChangeChunk chunk;
    REQUIRE(with.log->begin(1));
    with.add(1, 0, "still here");
    with.commit(1, 1);
    {
        auto segment = with.take();
        REQUIRE(segment.runs[0]->next(chunk));
    }
    with.log.reset();
    CHECK(chunk.records()[0].new_tuple == "still here");
}

TEST_CASE("calls out of turn are refused") {
    Fixture with;
    CHECK(with.log->append(1, 0, {.new_tuple = "a"}).error().code == "transaction_unknown");
    REQUIRE(with.log->begin(1));
    CHECK(with.log->begin(1).error().code == "transaction_begun_twice");
    with.commit(1, 10);
    REQUIRE(with.log->begin(1));
    CHECK(with.log->commit(1, 10, 11, 0).error().code == "commit_out_of_order");
}

TEST_CASE("a loop of a million exception blocks, half of which fail, takes no time") {
    Fixture with(size_t{64} << 20);
    REQUIRE(with.log->begin(1));
    for (uint32_t sub = 3; sub < 1'000'000; ++sub) {
        with.add(1, 0, "outer", 2);
        with.add(1, sub % 7, "inner", sub);
        if (sub % 2 == 0) REQUIRE(with.log->abort_sub(1, sub));
    }
    CHECK(with.log->usage().open_bytes == (999'997 + 499'999) * uint64_t{29});
    for (uint32_t sub = 3; sub < 1'000'000; sub += 2) REQUIRE(with.log->abort_sub(1, sub));
    REQUIRE(with.log->abort_sub(1, 2));
    CHECK(with.log->usage().open_bytes == 0);
    CHECK(with.log->usage().disk_bytes == 0);
}

TEST_CASE("very many small transactions are counted together, and none is torn") {
    Fixture with(size_t{256} << 10, uint64_t{1} << 30, 4096);
    for (uint32_t xid = 1; xid <= 10'000; ++xid) {
        REQUIRE(with.log->begin(xid));
        with.add(xid, 0, "a");
        with.add(xid, 1, "b");
        with.commit(xid, xid);
    }
    uint64_t transactions = 0, last = 0;
    while (true) {
        auto segment = with.take({.records = 100});
        if (segment.transactions == 0) break;
        CHECK(segment.records == 2 * segment.transactions);
        CHECK(segment.records <= 4096);
        CHECK(segment.first_commit_lsn == last + 1);
        last = segment.last_commit_lsn;
        for (auto& run : segment.runs) CHECK(run->records() == segment.transactions);
        transactions += segment.transactions;
    }
    CHECK(transactions == 10'000);
    CHECK(with.disk_in_truth() == 0);
}

}  // namespace
}  // namespace penstock::postgres::change_log_test
