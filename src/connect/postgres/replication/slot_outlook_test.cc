#include "connect/postgres/replication/slot_outlook.h"

#include <doctest/doctest.h>

namespace penstock::postgres {
namespace {

SlotState slot() {
    return {.name = "s",
            .plugin = "pgoutput",
            .database = "shop",
            .restart_lsn = Lsn(1000),
            .confirmed_flush_lsn = Lsn(2000),
            .wal_status = "reserved",
            .retained_bytes = 5000};
}

TEST_CASE("where the log ends, and how fast it grows") {
    auto before = slot(), after = slot();
    CHECK(log_end(before) == Lsn(6000));
    after.retained_bytes = 9000;
    CHECK(log_rate(before, after, std::chrono::seconds(2)) == 2000);
    // Its reader moved it meanwhile: the server wrote as much all the same.
    after.restart_lsn = Lsn(5000);
    after.retained_bytes = 5000;
    CHECK(log_rate(before, after, std::chrono::seconds(2)) == 2000);
    CHECK(!log_rate(after, before, std::chrono::seconds(1)));
    after.restart_lsn.reset();
    CHECK(!log_end(after));
    CHECK(!log_rate(before, after, std::chrono::seconds(1)));
}

TEST_CASE("what is wrong with a slot comes with the way out") {
    CHECK(!slot_concern(slot(), "p"));
    auto lost = slot();
    lost.wal_status = "lost";
    auto concern = slot_concern(lost, "p");
    REQUIRE(concern);
    CHECK(concern->grave);
    CHECK(concern->fix ==
          "`penstock slots drop s --confirm`, then `penstock run --full-refresh p` copies the tables again through a "
          "new slot");
    auto unreserved = slot();
    unreserved.wal_status = "unreserved";
    concern = slot_concern(unreserved, "p");
    REQUIRE(concern);
    CHECK(concern->grave);
    CHECK(concern->fix.find("max_slot_wal_keep_size") != std::string::npos);
    auto forgotten = slot();
    forgotten.retained_bytes = int64_t{3} << 30;
    concern = slot_concern(forgotten, "");
    REQUIRE(concern);
    CHECK(!concern->grave);
    CHECK(concern->what == "nobody reads it, and the server keeps 3.0 GiB of its log for it");
    forgotten.active = true;
    CHECK(!slot_concern(forgotten, ""));
    auto held = slot();
    held.confirmed_flush_lsn = Lsn(uint64_t{1} << 30);
    concern = slot_concern(held, "");
    REQUIRE(concern);
    CHECK(concern->what.find("a transaction has been open") != std::string::npos);
}

}  // namespace
}  // namespace penstock::postgres
