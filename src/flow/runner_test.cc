#include "flow/runner.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <stdexcept>
#include <thread>

#include "flow/memory.h"

namespace penstock::flow {
namespace {

using namespace std::chrono_literals;

/// Two tables of three rows; the third row of the second table cannot be held.
struct Fixture {
    MemoryDatabase database;
    MemoryWarehouse warehouse;
    MemoryFaults faults;
    RunRequest request;
    Mode mode = Mode::append;

    Fixture() {
        data::Schema schema{{{.name = "id", .type = data::scalar(data::Kind::int64)}}};
        for (std::string name : {"s.a", "s.b"}) {
            auto table =
                database.add_table({.name = name, .schema = schema, .key = {"id"}, .cursor = "id", .notes = {"n"}});
            for (int64_t id = 1; id <= 3; ++id)
                database.append(table, {.values = {id}, .unholdable = name == "s.b" && id == 3});
        }
        request.identity = {.pipeline = "p", .run_id = "r"};
        request.make_source = [this]() -> Result<std::unique_ptr<Source>> {
            return std::make_unique<MemorySource>(database, MemorySourceOptions{}, faults);
        };
        request.make_sink = [this]() -> Result<std::unique_ptr<Sink>> {
            return std::make_unique<MemorySink>(warehouse, faults);
        };
        request.target_for = [this](size_t, const TableInfo& info) -> Result<TableTarget> {
            return TableTarget{.info = info, .name = "t." + info.name, .mode = mode, .key = info.key};
        };
        request.rejects = {.stop = false};
        request.retries = {.max = 2, .delay = 0us};
    }
    RunResult run() { return flow::run(request, {}); }
};

struct Told : RunObserver {
    std::vector<std::string> events;
    std::function<void()> on_retry = [] {};
    void tables_planned(const std::vector<TableTarget>& targets, const std::vector<TablePlan>& plans) override {
        events.push_back(fmt::format("planned {} {}", targets.size(), plans.size()));
    }
    void table_started(const TableTarget& target, const Progress&) override {
        events.push_back("started " + target.info.name);
    }
    void table_ended(const TableResult& table) override { events.push_back("ended " + table.source); }
    void retrying(const Error&, std::chrono::microseconds, int attempt, int max) override {
        events.push_back(fmt::format("retrying {}/{}", attempt, max));
        on_retry();
    }
};

}  // namespace

/// Looks again before it reads anything, a few times.
struct Unsure : MemorySource {
    int& looks;
    Unsure(MemoryDatabase& database, MemoryFaults& faults, int& left)
        : MemorySource(database, {}, faults), looks(left) {}
    Result<std::optional<Segment>> next() override {
        if (looks-- > 0) return fail({.kind = ErrorKind::unavailable, .code = look_again, .message = "a table is new"});
        return MemorySource::next();
    }
};

TEST_CASE("looking at the tables again takes no retry and no pause") {
    Fixture f;
    Told told;
    f.request.observer = &told;
    f.request.retries = {.max = 1, .delay = 10min};
    int looks = 5;
    f.request.make_source = [&]() -> Result<std::unique_ptr<Source>> {
        return std::make_unique<Unsure>(f.database, f.faults, looks);
    };
    auto result = f.run();
    REQUIRE(result.status == RunStatus::success);
    CHECK(result.attempts == 1);
    CHECK(f.warehouse.table("t.s.a").rows.size() == 3);
    CHECK(std::ranges::count(told.events, "retrying 1/1") == 0);
}

TEST_CASE("a source that only ever looks again fails as others do") {
    Fixture f;
    int looks = 1000;
    f.request.make_source = [&]() -> Result<std::unique_ptr<Source>> {
        return std::make_unique<Unsure>(f.database, f.faults, looks);
    };
    auto result = f.run();
    REQUIRE(result.error);
    CHECK(result.error->code == look_again);
    CHECK(result.attempts == 3);
}

TEST_CASE("a run loads every table, accounts for every row and tells of it") {
    Fixture f;
    Told told;
    f.request.observer = &told;
    auto result = f.run();
    REQUIRE(result.status == RunStatus::success);
    CHECK(result.attempts == 1);
    CHECK(result.peak_memory_bytes > 1'000'000);
    REQUIRE(result.tables.size() == 2);
    CHECK(result.tables[1].source == "s.b");
    CHECK(result.tables[1].target == "t.s.b");
    CHECK(result.tables[1].notes == std::vector<std::string>{"n"});
    CHECK(result.tables[1].counts.rows_read == 3);
    CHECK(result.tables[1].counts.rows_written == 2);
    CHECK(result.tables[1].counts.rows_rejected == 1);
    CHECK(result.counts().rows_read == 6);
    CHECK(result.counts().bytes_read == 48);
    CHECK(result.tables[0].checkpoint.position == "3");
    CHECK(f.warehouse.table("t.s.b").rejects.size() == 1);
    CHECK(told.events ==
          std::vector<std::string>{"planned 2 2", "started s.a", "ended s.a", "started s.b", "ended s.b"});

    told.events.clear();
    auto nothing_new = f.run();
    CHECK(nothing_new.status == RunStatus::success);
    CHECK(nothing_new.counts().rows_read == 0);
    CHECK(nothing_new.tables[0].checkpoint.position == "3");
    CHECK(told.events == std::vector<std::string>{"planned 2 2", "ended s.a", "ended s.b"});
}

TEST_CASE("a table that is done is not loaded again by a retry") {
    Fixture f;
    Told told;
    f.request.observer = &told;
    f.mode = Mode::replace;
    f.faults.fail_at("load", 2, ErrorKind::unavailable);
    auto result = f.run();
    REQUIRE(result.status == RunStatus::success);
    CHECK(result.attempts == 2);
    CHECK(f.warehouse.commits().size() == 2);
    CHECK(told.events == std::vector<std::string>{"planned 2 2", "started s.a", "ended s.a", "started s.b",
                                                  "retrying 1/2", "started s.b", "ended s.b"});
}

TEST_CASE("a commit whose answer was lost is neither repeated nor forgotten") {
    Fixture f;
    f.faults.fail_at("commit_after", 1, ErrorKind::unavailable);
    auto result = f.run();
    REQUIRE(result.status == RunStatus::success);
    CHECK(result.attempts == 2);
    CHECK(f.warehouse.commits().size() == 2);
    CHECK(f.warehouse.table("t.s.a").rows.size() == 3);
    CHECK(result.tables[0].counts.rows_written == 3);
}

TEST_CASE("a failure names the table and leaves what was committed before") {
    Fixture f;
    f.faults.fail_at("load", 2, ErrorKind::refused);
    auto result = f.run();
    CHECK(result.status == RunStatus::failed);
    CHECK(result.attempts == 1);
    REQUIRE(result.error);
    CHECK(result.error->where == "table s.b");
    REQUIRE(result.tables.size() == 1);
    CHECK(result.tables[0].source == "s.a");
    CHECK(f.warehouse.table("t.s.a").rows.size() == 3);
    CHECK(f.warehouse.table("t.s.b").rows.empty());
}

TEST_CASE("retries end, and progress gives them back") {
    Fixture f;
    for (int64_t nth = 1; nth <= 3; ++nth) f.faults.fail_at("open", nth, ErrorKind::unavailable);
    SUBCASE("three failures in a row are more than two retries") {
        auto result = f.run();
        CHECK(result.status == RunStatus::failed);
        CHECK(result.attempts == 3);
    }
    SUBCASE("what was committed in between counts") {
        f.faults.calm();
        f.faults.fail_at("open", 1, ErrorKind::unavailable);
        f.faults.fail_at("open", 2, ErrorKind::unavailable);
        f.faults.fail_at("load", 2, ErrorKind::unavailable);  // after the first table's commit
        f.faults.fail_at("open", 4, ErrorKind::conflict);
        auto result = f.run();
        CHECK(result.status == RunStatus::success);
        CHECK(result.attempts == 5);
    }
}

TEST_CASE("a stop cuts the wait for a retry short") {
    Fixture f;
    Told told;
    std::stop_source stop;
    std::jthread stopper;
    told.on_retry = [&] { stopper = std::jthread([&] { stop.request_stop(); }); };
    f.request.observer = &told;
    f.request.retries = {.max = 2, .delay = std::chrono::hours(1)};
    f.faults.fail_at("open", 1, ErrorKind::unavailable);
    auto result = flow::run(f.request, stop.get_token());
    CHECK(result.status == RunStatus::stopped);
    CHECK(result.error->kind == ErrorKind::interrupted);
    REQUIRE(result.error->cause != nullptr);
    CHECK(result.error->cause->kind == ErrorKind::unavailable);
    CHECK(result.duration < 60s);
}

TEST_CASE("too many rejects end the run before its commit") {
    Fixture f;
    SUBCASE("on_reject: stop") { f.request.rejects.stop = true; }
    SUBCASE("max_rejects as a count") { f.request.rejects.max_count = 0; }
    SUBCASE("max_rejects as a share") { f.request.rejects.max_share = 0.3; }
    auto result = f.run();
    CHECK(result.status == RunStatus::failed);
    CHECK(result.error->kind == ErrorKind::data);
    CHECK(result.error->where == "table s.b");
    CHECK(f.warehouse.table("t.s.b").rows.empty());
    CHECK(f.warehouse.commits().size() == 1);
}

namespace {

/// A sink that loses count of a row.
struct Forgetful : MemorySink {
    using MemorySink::MemorySink;
    Result<Counts> load(const TableTarget& target, Scan& scan, const ScanContext& context) override {
        auto counts = MemorySink::load(target, scan, context);
        if (counts) counts->rows_written -= 1;
        return counts;
    }
};

/// A sink whose library throws.
struct Throwing : MemorySink {
    using MemorySink::MemorySink;
    Status begin(const RunIdentity&) override { throw std::runtime_error("surprise"); }
};

}  // namespace

TEST_CASE("I3: rows that are not accounted for are not committed") {
    Fixture f;
    f.request.make_sink = [&]() -> Result<std::unique_ptr<Sink>> {
        return std::make_unique<Forgetful>(f.warehouse, f.faults);
    };
    auto result = f.run();
    CHECK(result.error->code == "rows_unaccounted");
    CHECK(result.error->where == "table s.a");
    CHECK(f.warehouse.commits().empty());
}

TEST_CASE("no exception leaves a run") {
    Fixture f;
    f.request.make_sink = [&]() -> Result<std::unique_ptr<Sink>> {
        return std::make_unique<Throwing>(f.warehouse, f.faults);
    };
    auto result = f.run();
    CHECK(result.error->kind == ErrorKind::internal);
    CHECK(result.error->message.find("surprise") != std::string::npos);
}

TEST_CASE("an exception inside a segment is taken back as an error is") {
    struct Shown : RunObserver {
        const Progress* progress = nullptr;
        int64_t rows = -1;
        void table_started(const TableTarget&, const Progress& shown) override { progress = &shown; }
        void run_ended() override { rows = progress->rows_read; }
    };
    for (std::string call : {"load", "fill", "stage", "load_after", "finish", "commit_before", "commit_after"}) {
        INFO("exception at " << call);
        Fixture f;
        Shown shown;
        f.request.observer = &shown;
        f.faults.throw_at(call, 1);
        auto result = f.run();
        REQUIRE(result.error);
        CHECK(result.error->code == "unexpected_exception");
        CHECK(result.error->message.find(call) != std::string::npos);
        CHECK(result.error->where == "table s.a");
        CHECK(f.warehouse.units_open() == 0);
        CHECK(shown.rows == 0);
        f.request.observer = nullptr;
        CHECK(f.run().status == RunStatus::success);
        CHECK(f.warehouse.table("t.s.a").rows.size() == 3);
        CHECK(f.warehouse.table("t.s.b").rejects.size() == 1);
    }
}

TEST_CASE("a commit that may not be made is taken back") {
    Fixture f;
    int asked = 0;
    f.request.may_commit = [&]() -> Status {
        if (++asked == 1) return {};
        return fail({.kind = ErrorKind::refused, .code = "no", .message = "no"});
    };
    auto result = f.run();
    REQUIRE(result.error);
    CHECK(result.error->code == "no");
    CHECK(f.warehouse.commits().size() == 1);
    CHECK(f.warehouse.units_open() == 0);
    CHECK(result.tables.size() == 1);
}

TEST_CASE("rejects of a commit whose answer was lost count for the limit") {
    Fixture f;
    for (int64_t id = 4; id <= 6; ++id) f.database.append(1, {.values = {id}, .unholdable = id == 6});
    f.request.make_source = [&]() -> Result<std::unique_ptr<Source>> {
        return std::make_unique<MemorySource>(f.database, MemorySourceOptions{.stream = true, .segment_rows = 3},
                                              f.faults);
    };
    f.faults.fail_at("commit_after", 1, ErrorKind::unavailable);
    SUBCASE("which is not reached") {
        f.request.rejects.max_count = 2;
        auto result = f.run();
        REQUIRE(result.status == RunStatus::success);
        CHECK(result.counts().rows_rejected == 2);
        CHECK(f.warehouse.table("t.s.b").rejects.size() == 2);
    }
    SUBCASE("which ends the run") {
        f.request.rejects.max_count = 1;
        auto result = f.run();
        REQUIRE(result.error);
        CHECK(result.error->kind == ErrorKind::data);
        CHECK(result.error->message.find("2 are more than max_rejects: 1") != std::string::npos);
        CHECK(f.warehouse.table("t.s.b").rejects.size() == 1);
    }
}

TEST_CASE("bytes that could not be decoded end the run whatever on_reject says") {
    Fixture f;
    f.database.append(0, {.values = {int64_t{4}}, .malformed = true});
    f.request.rejects = {.stop = false, .max_count = 100};
    auto result = f.run();
    REQUIRE(result.error);
    CHECK(result.status == RunStatus::failed);
    CHECK(result.error->code == "malformed");
    CHECK(result.error->where == "table s.a");
    CHECK(result.error->hint.find("on_reject") == std::string::npos);
    CHECK(f.warehouse.commits().empty());
    CHECK(f.warehouse.units_open() == 0);
}

TEST_CASE("a plan says what would be read and writes nothing") {
    Fixture f;
    auto planned = plan(f.request, {});
    REQUIRE(planned);
    REQUIRE(planned->size() == 2);
    CHECK((*planned)[0].target.name == "t.s.a");
    CHECK_FALSE((*planned)[0].plan.exists);
    CHECK(f.warehouse.commits().empty());
    f.run();
    planned = plan(f.request, {});
    REQUIRE(planned);
    CHECK((*planned)[0].plan.checkpoint->position == "3");
}

TEST_CASE("two tables for one target are refused") {
    Fixture f;
    f.request.target_for = [](size_t, const TableInfo& info) -> Result<TableTarget> {
        return TableTarget{.info = info, .name = "same"};
    };
    auto planned = plan(f.request, {});
    REQUIRE_FALSE(planned);
    CHECK(planned.error().kind == ErrorKind::configuration);
    CHECK(planned.error().message.find("s.a and s.b") != std::string::npos);
}

TEST_CASE("a full refresh rebuilds from the beginning") {
    Fixture f;
    REQUIRE(f.run().status == RunStatus::success);
    auto target_for = f.request.target_for;
    f.request.target_for = [&](size_t index, const TableInfo& info) -> Result<TableTarget> {
        auto target = target_for(index, info);
        target->full_refresh = true;
        return target;
    };
    auto result = f.run();
    CHECK(result.counts().rows_read == 6);
    CHECK(f.warehouse.table("t.s.a").rows.size() == 3);
}

TEST_CASE("a retry's delay grows and is spread") {
    RetryPolicy policy{.max = 3, .delay = 5s, .backoff = 2, .jitter = false};
    CHECK(retry_delay(policy, 1, 0.9) == 5s);
    CHECK(retry_delay(policy, 3, 0.9) == 20s);
    CHECK(retry_delay(policy, 500, 0.9) == 1h);
    policy.jitter = true;
    CHECK(retry_delay(policy, 1, 0) == 2500ms);
    CHECK(retry_delay(policy, 1, 0.5) == 5s);
    CHECK(worth_retrying({.kind = ErrorKind::unavailable}));
    CHECK_FALSE(worth_retrying({.kind = ErrorKind::refused}));
    CHECK_FALSE(worth_retrying({.kind = ErrorKind::interrupted}));
}

}  // namespace penstock::flow
