#include "state/spending.h"

#include <doctest/doctest.h>

#include "state/test_folder.h"

namespace penstock::state {
namespace {

const TimePoint noon(std::chrono::days(20'000) + std::chrono::hours(12));

flow::Bill bill_of(const std::string& job, double usd) {
    return {.job = job, .account = "project/EU", .most = {.bytes_billed = 100, .usd = usd}, .opened = noon};
}

struct Spent {
    Folder folder;
    Store store = folder.store();
    std::unique_ptr<flow::SpendingBook> book(const std::string& run, const std::string& pipeline = "shop") {
        return store.spending({.pipeline = pipeline, .run_id = run});
    }
    double on_day(TimePoint at = noon, const std::string& pipeline = "shop") {
        auto spent = store.spent_on_day(pipeline, at);
        REQUIRE(spent);
        return spent->usd;
    }
    flow::Charge of_run(const std::string& run, const std::string& pipeline = "shop") {
        REQUIRE(store.begin_run({.pipeline = pipeline, .run_id = run}, noon));
        return (*store.run(run))->spent;
    }
};

}  // namespace

TEST_CASE("a bill counts at its most until it is settled, and is settled once") {
    Spent spent;
    auto book = spent.book("run_1");
    REQUIRE(book->open(bill_of("job", 2.5)));
    REQUIRE(book->open(bill_of("job", 9)));  // the same
    CHECK(spent.on_day() == doctest::Approx(2.5));
    auto open = book->open_bills();
    REQUIRE(open);
    REQUIRE(open->size() == 1);
    CHECK(open->front().account == "project/EU");
    CHECK(open->front().opened == noon);
    CHECK(open->front().most.bytes_billed == 100);
    flow::Charge charged{.bytes_billed = 40, .slot_millis = 7, .usd = 0.000000125};
    REQUIRE(book->settle("job", charged, true));
    REQUIRE(book->settle("job", charged, true));
    CHECK(spent.on_day() == doctest::Approx(0.000000125));
    CHECK(book->open_bills()->empty());
    auto run = spent.of_run("run_1");
    CHECK(run.bytes_billed == 40);
    CHECK(run.slot_millis == 7);
    CHECK(run.usd == doctest::Approx(0.000000125));
}

TEST_CASE("a killed run's bill is charged to it, on its day") {
    Spent spent;
    REQUIRE(spent.book("run_1")->open(bill_of("job", 2.5)));
    auto next = spent.book("run_2");
    auto again = bill_of("job", 3);
    again.opened += std::chrono::days(1);
    REQUIRE(next->open(again));
    REQUIRE(next->settle("job", {.usd = 1}, false));
    CHECK(spent.on_day() == doctest::Approx(1));
    CHECK(spent.on_day(again.opened) == 0);
    CHECK(spent.of_run("run_1").usd == doctest::Approx(1));
    SUBCASE("what it had settled itself is not charged twice") {
        REQUIRE(next->open(bill_of("job", 3)));
        REQUIRE(next->settle("job", {.usd = 1}, false));
        CHECK(spent.on_day() == doctest::Approx(1));
    }
}

TEST_CASE("each pipeline and each day have their own") {
    Spent spent;
    REQUIRE(spent.book("run_1")->add({.usd = 1}, noon));
    REQUIRE(spent.book("run_1")->add({.usd = 2}, noon + std::chrono::hours(12)));
    REQUIRE(spent.book("run_2")->add({.usd = 4}, noon - std::chrono::hours(12)));
    REQUIRE(spent.book("run_3", "other")->add({.usd = 8}, noon));
    CHECK(spent.on_day() == doctest::Approx(5));
    CHECK(spent.on_day(noon, "other") == doctest::Approx(8));
    CHECK(spent.of_run("run_1").usd == doctest::Approx(3));
}

TEST_CASE("what was put off is on record") {
    Spent spent;
    flow::RunResult result;
    result.identity = {.pipeline = "shop", .run_id = "run_1"};
    result.status = flow::RunStatus::skipped;
    result.started_at = noon;
    result.deferred_until = noon + std::chrono::hours(12);
    REQUIRE(spent.store.end_run(result));
    CHECK((*spent.store.run("run_1"))->deferred_until == result.deferred_until);
}

}  // namespace penstock::state
