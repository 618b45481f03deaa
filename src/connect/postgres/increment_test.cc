#include "connect/postgres/increment.h"

#include <doctest/doctest.h>

namespace penstock::postgres {
namespace {

Surroundings calm() {
    return {.system = "42",
            .timeline = 1,
            .clock = "2026-11-21 10:00:00+00",
            .clock_micros = 0,
            .oldest_micros = 0,
            .all_visible = true,
            .snapshot_xmin = 1000,
            .snapshot_xmax = 1000};
}

Surroundings later() {
    auto out = calm();
    out.snapshot_xmin = out.snapshot_xmax = 5000;
    return out;
}

IncrementRequest by_time() {
    return {.column = "\"u\"",
            .type = "timestamp with time zone",
            .kind = CursorKind::timestamptz,
            .nullable = false,
            .heap = true,
            .lag = ""};
}
IncrementRequest by_number() {
    return {
        .column = "\"id\"", .type = "bigint", .kind = CursorKind::whole, .nullable = false, .heap = true, .lag = ""};
}

TEST_CASE("a first run has no condition") {
    CHECK(increment_condition(by_time(), {.cursor = "", .around = calm()}, later()).empty());
}

TEST_CASE("times are read from the oldest open transaction on, and only what the last snapshot did not see") {
    Increment last{.cursor = "2026-11-21 09:59:58+00", .around = calm()};
    last.around.oldest_micros = 5'000'000;
    CHECK(increment_condition(by_time(), last, later()) ==
          "\"u\" >= (least('2026-11-21 09:59:58+00'::timestamp with time zone, '2026-11-21 10:00:00+00'::timestamptz - "
          "interval '5000000 microseconds') - "
          "interval '86400000000 microseconds') AND (\"u\" > '2026-11-21 09:59:58+00'::timestamp with time zone OR "
          "pg_catalog.age(xmin) <= pg_catalog.age('1000'::xid))");
}

TEST_CASE("numbers may have been handed out long before: what is recent is looked for everywhere") {
    Increment last{.cursor = "77", .around = calm()};
    CHECK(increment_condition(by_number(), last, later()) ==
          "(\"id\" > '77'::bigint OR pg_catalog.age(xmin) <= pg_catalog.age('1000'::xid))");
    auto lagged = by_number();
    lagged.lag = "100";
    CHECK(increment_condition(lagged, last, later()) ==
          "\"id\" >= ('77'::bigint - 100) AND (\"id\" > '77'::bigint OR pg_catalog.age(xmin) <= "
          "pg_catalog.age('1000'::xid))");
}

TEST_CASE("a time ahead of the server's clock does not hide what comes after it") {
    auto request = by_time();
    request.type = "timestamp without time zone";
    request.kind = CursorKind::timestamp;
    request.heap = false;
    Increment last{.cursor = "2099-01-01 00:00:00", .around = calm()};
    CHECK(increment_condition(request, last, later()) ==
          "\"u\" >= (least('2099-01-01 00:00:00'::timestamp without time zone::timestamp, '2026-11-21 "
          "10:00:00+00'::timestamptz::timestamp) - "
          "interval '0 microseconds' - interval '0 microseconds')");
}

TEST_CASE("transaction ids of another cluster, timeline or age are not trusted") {
    Increment last{.cursor = "77", .around = calm()};
    for (int change = 0; change < 3; ++change) {
        auto now = later();
        if (change == 0) now.system = "43";
        if (change == 1) now.timeline = 2;
        if (change == 2) now.snapshot_xmax = 3'000'000'000;
        CHECK(increment_condition(by_number(), last, now) == "\"id\" >= '77'::bigint");
    }
}

TEST_CASE("rows without a cursor value are not forgotten") {
    auto request = by_number();
    request.nullable = true;
    request.lag = "0";
    Increment last{.cursor = "77", .around = calm()};
    CHECK(increment_condition(request, last, later()) ==
          "(\"id\" >= ('77'::bigint - 0) OR \"id\" IS NULL) AND (\"id\" > '77'::bigint OR pg_catalog.age(xmin) <= "
          "pg_catalog.age('1000'::xid))");
}

TEST_CASE("a position survives its JSON") {
    Increment last{.cursor = "77", .raw = 77, .around = later(), .of = "updated_at"};
    auto back = Increment::from_json(last.to_json());
    REQUIRE(back);
    CHECK(back->to_json() == last.to_json());
    CHECK(!Increment::from_json("{}"));
}

}  // namespace
}  // namespace penstock::postgres
