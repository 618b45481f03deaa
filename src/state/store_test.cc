#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "state/test_folder.h"

namespace penstock::state {
namespace {

flow::RunResult sample_result() {
    flow::RunResult result;
    result.identity = {.pipeline = "shop", .run_id = "run_1"};
    result.status = flow::RunStatus::failed;
    result.started_at = TimePoint(std::chrono::seconds(1'000));
    result.duration = std::chrono::milliseconds(1'500);
    result.attempts = 3;
    result.peak_memory_bytes = uint64_t{5} << 32;
    flow::TableResult table;
    table.source = "public.orders";
    table.target = "shop.orders";
    table.counts = {.rows_read = 10, .rows_written = 7, .rows_rejected = 2, .rows_filtered = 1, .bytes_read = 99};
    table.checkpoint = {.cursor_from = "1",
                        .cursor_to = "9",
                        .position = R"({"lsn":"0/1"})",
                        .read_at = TimePoint(std::chrono::microseconds(7))};
    table.decisions = {{.column = "a", .change = "column_added", .decision = "applied", .sql = "ALTER", .detail = "é"}};
    table.notes = {"a note"};
    table.duration = std::chrono::milliseconds(250);
    result.tables = {table, table};
    result.error = Error{.kind = ErrorKind::data,
                         .code = "numeric_overflow",
                         .message = "does not fit \xff",  // not UTF-8
                         .where = "table public.orders",
                         .hint = "widen it",
                         .cause = std::make_shared<Error>(Error{.code = "inner", .message = "because"})};
    return result;
}

}  // namespace

TEST_CASE("a run is recorded from its start to its end") {
    Folder folder;
    auto store = folder.store();
    auto result = sample_result();
    auto lock = store.acquire("shop", "run_1");
    REQUIRE(lock);
    REQUIRE(store.begin_run(result.identity, result.started_at));
    auto running = store.run("run_1");
    REQUIRE(running);
    CHECK((*running)->status == "running");
    CHECK((*running)->duration.count() > 0);

    REQUIRE(store.end_run(result));
    auto ended = store.run("run_1");
    REQUIRE(ended);
    const RunRecord& record = **ended;
    CHECK(record.status == "failed");
    CHECK(record.started_at == result.started_at);
    CHECK(record.duration.count() == doctest::Approx(1.5));
    CHECK(record.attempts == 3);
    CHECK(record.peak_memory_bytes == uint64_t{5} << 32);
    CHECK(record.counts().rows_read == 20);
    CHECK(record.counts().balanced());
    REQUIRE(record.tables.size() == 2);
    CHECK(record.tables[0].source == "public.orders");
    CHECK(record.tables[0].checkpoint == result.tables[0].checkpoint);
    CHECK(record.tables[0].decisions.at(0).detail == "é");
    CHECK(record.tables[0].notes == result.tables[0].notes);
    REQUIRE(record.error);
    CHECK(record.error->kind == ErrorKind::data);
    CHECK(record.error->code == "numeric_overflow");
    CHECK(record.error->hint == "widen it");
    REQUIRE(record.error->cause != nullptr);
    CHECK(record.error->cause->message == "because");
    CHECK(record.pid == ::getpid());
}

TEST_CASE("runs come newest first, by pipeline and by limit") {
    Folder folder;
    auto store = folder.store();
    for (int i = 0; i < 6; ++i) {
        flow::RunResult result;
        result.identity = {.pipeline = i % 2 == 0 ? "even" : "odd", .run_id = fmt::format("run_{}", i)};
        result.started_at = TimePoint(std::chrono::seconds(i));
        REQUIRE(store.end_run(result));
    }
    auto all = store.runs(4);
    REQUIRE(all);
    REQUIRE(all->size() == 4);
    CHECK(all->front().run_id == "run_5");
    CHECK(all->back().run_id == "run_2");
    auto odd = store.runs(10, "odd");
    REQUIRE(odd);
    CHECK(odd->size() == 3);
    auto behind = store.runs(10, "odd", "run_4");
    REQUIRE(behind);
    REQUIRE(behind->size() == 2);
    CHECK(behind->front().run_id == "run_3");
    CHECK(store.runs(10, "", "run_0")->empty());
    CHECK(store.runs(10, "", "nothing")->empty());
    auto last = store.last_runs();
    REQUIRE(last);
    REQUIRE(last->size() == 2);
    CHECK((*last)[0].run_id == "run_4");
    CHECK((*last)[1].run_id == "run_5");
    auto unknown = store.run("run_9");
    REQUIRE(unknown);
    CHECK_FALSE(unknown->has_value());
}

TEST_CASE("looking makes no state") {
    Folder folder;
    auto none = Store::open_existing(url, folder.path);
    REQUIRE(none);
    CHECK_FALSE(none->has_value());
    CHECK_FALSE(std::filesystem::exists(folder.file().parent_path()));
    CHECK_FALSE(folder.is_there());
    folder.store();
    auto some = Store::open_existing(url, folder.path);
    REQUIRE(some);
    CHECK(some->has_value());
}

TEST_CASE("sqlite: a file that cannot be used says why") {
    Folder folder;
    SUBCASE("not a SQLite file") {
        std::filesystem::create_directories(folder.file().parent_path());
        std::ofstream(folder.file()) << std::string(5'000, 'x');
        auto refused = Store::open(url, folder.path);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == "state_not_sqlite");
        CHECK(refused.error().where == folder.file().string());
        CHECK_FALSE(Store::open_existing(url, folder.path));
    }
    SUBCASE("a file where a folder should be") {
        std::ofstream(folder.path / "sub folder") << "x";
        auto refused = Store::open(url, folder.path);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == "state_folder");
    }
    SUBCASE("a folder where the file should be") {
        std::filesystem::create_directories(folder.file());
        auto refused = Store::open(url, folder.path);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == "state_unwritable");
    }
    SUBCASE("a relative path, and an absolute one") {
        CHECK(Store::open("sqlite://" + (folder.path / "absolute.db").string(), "/nowhere"));
        CHECK(std::filesystem::exists(folder.path / "absolute.db"));
    }
}

TEST_CASE("a state that a newer version wrote is refused") {
    Folder folder;
    folder.store();
    folder.execute("UPDATE penstock.schema_version SET version = 99");
    auto refused = Store::open(url, folder.path);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "state_newer");
    CHECK(refused.error().where == folder.place().shown);
}

TEST_CASE("names that differ by case or by a blank at the end are different names") {
    Folder folder;
    auto store = folder.store();
    auto plain = store.acquire("shop", "run_1"), upper = store.acquire("Shop", "run_2"),
         blank = store.acquire("shop ", "run_3");
    CHECK(plain);
    CHECK(upper);
    CHECK(blank);
    CHECK(store.holders()->size() == 3);
}

TEST_CASE("texts of any length and script come back") {
    Folder folder;
    auto store = folder.store();
    auto result = sample_result();
    result.error->message = "\U0001F600 it's \\ \"q\" :name ? %s " + std::string(200'000, 'x');
    result.tables[0].source = "public.Größe 表";
    REQUIRE(store.end_run(result));
    auto record = *store.run("run_1");
    CHECK(record->error->message == result.error->message);
    CHECK(record->tables[0].source == result.tables[0].source);
}

TEST_CASE("a second run of a pipeline is told who has it") {
    Folder folder;
    auto store = folder.store();
    {
        auto first = store.acquire("shop", "run_1");
        REQUIRE(first);
        CHECK_FALSE(first->lost().stop_requested());
        auto second = store.acquire("shop", "run_2");
        REQUIRE_FALSE(second);
        CHECK(second.error().kind == ErrorKind::conflict);
        CHECK(second.error().code == "already_running");
        for (const auto& told : {std::string("shop is already running"), std::string("run run_1"),
                                 fmt::format("process {}", ::getpid()), this_process().host})
            CHECK(second.error().message.find(told) != std::string::npos);
        CHECK(store.acquire("other", "run_3"));
        auto holders = store.holders();
        REQUIRE(holders);
        REQUIRE(holders->size() == 1);
        CHECK((*holders)[0].run_id == "run_1");
    }
    CHECK(store.acquire("shop", "run_4"));
}

TEST_CASE("a stranger with the holder's pid is not the holder") {
    Folder folder;
    auto store = folder.store();
    auto first = store.acquire("shop", "run_1");
    REQUIRE(first);
    folder.execute("UPDATE penstock.locks SET pid_started = pid_started - 1");
    CHECK(store.acquire("shop", "run_2"));
}

TEST_CASE("seats: many beside one another, none beside somebody who is alone") {
    Folder folder;
    auto store = folder.store();
    {
        auto alone = store.acquire("shop", "run_1");
        REQUIRE(alone);
        auto refused = store.sit("shop", "run_2");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == "already_running");
    }
    auto first = store.sit("shop", "run_2"), other = store.sit("other", "run_3");
    REQUIRE(first);
    REQUIRE(other);
    CHECK(first->seat() == 1);
    CHECK(other->seat() == 1);
    auto alone = store.acquire("shop", "run_4");
    REQUIRE_FALSE(alone);
    CHECK(alone.error().message.find("run_2") != std::string::npos);
    {
        auto second = store.sit("shop", "run_5"), third = store.sit("shop", "run_6");
        REQUIRE(third);
        CHECK(second->seat() == 2);
        CHECK(third->seat() == 3);
        CHECK(third->hold());
        CHECK(store.holders()->size() == 4);
        CHECK_FALSE(store.sit("shop", "run_7", 2));
    }
    auto again = store.sit("shop", "run_8");
    REQUIRE(again);
    CHECK(again->seat() == 2);
}

TEST_CASE("the seat of a process that is gone is free, and its run has failed") {
    Folder folder;
    auto store = folder.store();
    auto first = store.sit("shop", "run_1"), second = store.sit("shop", "run_2");
    REQUIRE(store.begin_run({.pipeline = "shop", .run_id = "run_1"}, now()));
    REQUIRE(store.begin_run({.pipeline = "shop", .run_id = "run_2"}, now()));
    folder.execute("UPDATE penstock.seats SET pid_started = pid_started - 1 WHERE seat = 1");
    auto third = store.sit("shop", "run_3");
    REQUIRE(third);
    CHECK(third->seat() == 1);
    CHECK(store.run("run_1")->value().status == "failed");
    CHECK(store.run("run_2")->value().status == "running");
    CHECK_FALSE(first->hold());
    CHECK(first->lost().stop_requested());
    CHECK(second->hold());
    // Somebody looks after the seat of one that is gone, and nobody else comes.
    folder.execute("UPDATE penstock.seats SET pid_started = pid_started - 1 WHERE seat = 2");
    CHECK(store.sit("shop", "run_3", 2));
}

TEST_CASE("the lock of another machine is kept as long as its lease") {
    Folder folder;
    auto store = folder.store();
    auto first = store.acquire("shop", "run_1");
    REQUIRE(first);
    folder.execute("UPDATE penstock.locks SET machine = 'another', pid = 999999999");
    auto second = store.acquire("shop", "run_2");
    REQUIRE_FALSE(second);
    CHECK(second.error().code == "already_running");
    folder.execute("UPDATE penstock.locks SET lease_until = 1");
    CHECK(store.acquire("shop", "run_2"));
}

TEST_CASE("the history keeps so many runs of each pipeline, and those under way") {
    Folder folder;
    auto store = folder.store();
    auto end = [&](const std::string& pipeline, int number, int64_t keep) {
        flow::RunResult result;
        result.identity = {.pipeline = pipeline, .run_id = fmt::format("{}_{}", pipeline, number)};
        result.started_at = TimePoint(std::chrono::seconds(number));
        REQUIRE(store.end_run(result, keep));
    };
    REQUIRE(store.begin_run({.pipeline = "a", .run_id = "a_running"}, TimePoint(std::chrono::seconds(0))));
    for (int number = 1; number <= 5; ++number) end("b", number, 100);
    for (int number = 1; number <= 5; ++number) end("a", number, 3);
    auto kept = store.runs(100, "a");
    REQUIRE(kept);
    std::vector<std::string> ids;
    for (const auto& run : *kept) ids.push_back(run.run_id);
    CHECK(ids == std::vector<std::string>{"a_5", "a_4", "a_3", "a_running"});
    CHECK(store.runs(100, "b")->size() == 5);
}

TEST_CASE("a lock that another run took over is known as lost before a commit") {
    Folder folder;
    auto store = folder.store();
    auto lock = store.acquire("shop", "run_1");
    REQUIRE(lock);
    CHECK(lock->hold());
    CHECK_FALSE(lock->lost().stop_requested());
    folder.execute("UPDATE penstock.locks SET run_id = 'run_2', host = 'elsewhere', machine = 'elsewhere'");
    auto held = lock->hold();
    REQUIRE_FALSE(held);
    CHECK(held.error().code == "lock_lost");
    CHECK(held.error().kind == ErrorKind::conflict);
    CHECK(held.error().message.find("shop") != std::string::npos);
    CHECK(lock->lost().stop_requested());
}

TEST_CASE("sqlite: a state that does not answer is no loss while the lease lasts") {
    Folder folder;
    auto store = folder.store();
    auto lock = store.acquire("shop", "run_1");
    REQUIRE(lock);
    auto aside = folder.path / "aside";
    std::filesystem::rename(folder.path / "sub folder", aside);
    CHECK(lock->hold());
    CHECK_FALSE(lock->lost().stop_requested());
    std::filesystem::rename(aside, folder.path / "sub folder");
    CHECK(lock->hold());
}

}  // namespace penstock::state
