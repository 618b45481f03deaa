#include "flow/purse.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace penstock::flow {
namespace {

/// What state/spending.h keeps, kept in memory.
struct Book : SpendingBook {
    Charge today;
    std::vector<Bill> bills;
    bool broken = false;

    Result<Charge> on_day(TimePoint) override {
        Charge sum = today;
        for (const auto& bill : bills) sum += bill.most;
        return sum;
    }
    Status open(const Bill& bill) override {
        if (broken) return fail(Error{.kind = ErrorKind::unavailable, .code = "away", .message = "away"});
        bills.push_back(bill);
        return {};
    }
    Status settle(const std::string& job, const Charge& charged, bool) override {
        std::erase_if(bills, [&](const auto& bill) { return bill.job == job; });
        today += charged;
        return {};
    }
    Status add(const Charge& charged, TimePoint) override {
        today += charged;
        return {};
    }
    Result<std::vector<Bill>> open_bills() override { return bills; }
};

struct Fixture {
    Purse purse;
    Book* book = nullptr;
    explicit Fixture(Purse::Limits limits, double spent = 0) : purse({.pipeline = "p", .run_id = "r"}, limits) {
        auto made = std::make_unique<Book>();
        book = made.get();
        book->today.usd = spent;
        purse.keep_in(std::move(made));
    }
    Result<int64_t> allow(int64_t bytes, int64_t most = 1000) {
        return purse.allow({.what = "commit the rows", .bytes = bytes, .most_bytes = most, .usd_per_byte = 0.01});
    }
};

}  // namespace

TEST_CASE("without bounds a query may bill what it asks for") {
    Fixture fixture({});
    CHECK(*fixture.allow(10) == 1000);
}

TEST_CASE("a query may bill what the run and the day have left") {
    Fixture fixture({.run_bytes = 300, .day_usd = 5.0}, 1.0);
    CHECK(*fixture.allow(10) == 300);
    fixture.purse.settle("job", {.bytes_billed = 200, .usd = 2.0}, true);
    CHECK(*fixture.allow(10) == 100);
    CHECK(fixture.allow(101).error().code == "budget_exceeded");
    fixture.book->today.usd = 4.5;
    CHECK(*fixture.allow(50) == 50);
    auto refused = fixture.allow(51);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "daily_budget_exceeded");
    CHECK(refused.error().message.find("0.51 USD") != std::string::npos);
    CHECK(refused.error().message.find("4.50 USD of the 5.00 USD") != std::string::npos);
    CHECK_FALSE(fixture.purse.deferred_until());
}

TEST_CASE("a run is put off to a day that can pay it") {
    Fixture fixture({.day_usd = 5.0, .defers = true}, 4.5);
    auto refused = fixture.allow(100);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == budget_deferred);
    CHECK(fixture.purse.deferred_until() == end_of_day(now()));
    SUBCASE("not what is more than a day has") { CHECK(fixture.allow(501).error().code == "daily_budget_exceeded"); }
    SUBCASE("not what the run's own spending makes too much for a day") {
        fixture.purse.settle("job", {.usd = 4.5}, true);
        CHECK(fixture.allow(100).error().code == "daily_budget_exceeded");
    }
}

TEST_CASE("what the system refuses to bill beyond the day's rest is put off too") {
    Error beyond{.kind = ErrorKind::budget, .code = "bigquery_bytes_billed", .message = "more"};
    Fixture fixture({.day_usd = 5.0, .defers = true}, 4.5);
    REQUIRE(fixture.allow(10));
    auto error = fixture.purse.refused(beyond);
    CHECK(error.code == budget_deferred);
    CHECK(error.cause->code == "bigquery_bytes_billed");
    SUBCASE("unless the day was its own") {
        fixture.purse.settle("job", {.usd = 0.25}, true);
        fixture.book->today.usd = 0.25;
        REQUIRE(fixture.allow(10));
        CHECK(fixture.purse.refused(beyond).code == "bigquery_bytes_billed");
    }
    SUBCASE("unless another bound was nearer") {
        REQUIRE(fixture.allow(10, 20));
        CHECK(fixture.purse.refused(beyond).code == "bigquery_bytes_billed");
    }
}

TEST_CASE("nothing is begun that is not on record, where a day is bounded") {
    Fixture bounded({.day_usd = 5.0}), free({});
    bounded.book->broken = free.book->broken = true;
    CHECK_FALSE(bounded.purse.open({.job = "a", .account = "", .most = {}}));
    CHECK(free.purse.open({.job = "a", .account = "", .most = {}}));
}

TEST_CASE("open bills count at their most") {
    Fixture fixture({.day_usd = 5.0});
    REQUIRE(fixture.purse.open({.job = "a", .account = "", .most = {.usd = 4.8}}));
    CHECK_FALSE(fixture.allow(100));
    fixture.purse.settle("a", {.usd = 0.5}, true);
    CHECK(fixture.allow(100));
    CHECK(fixture.purse.spent().usd == 0.5);
}

TEST_CASE("another run's job is not this one's to pay") {
    Fixture fixture({});
    fixture.purse.settle("a", {.bytes_billed = 7, .usd = 0.5}, false);
    CHECK(fixture.purse.spent().bytes_billed == 0);
}

TEST_CASE("money is written as small as it is") {
    CHECK(usd_text(0) == "0");
    CHECK(usd_text(0.00006) == "0.00006");
    CHECK(usd_text(0.25) == "0.25");
    CHECK(usd_text(12.345) == "12.35");
}

}  // namespace penstock::flow
