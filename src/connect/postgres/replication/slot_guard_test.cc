#include "connect/postgres/replication/slot_guard.h"

#include <doctest/doctest.h>

#include <functional>

namespace penstock::postgres {
namespace {

/// A pipeline, its server and its slot, with nothing wrong; each case spoils something.
struct Scene {
    SlotClaim claim{.pipeline = "shop",
                    .slot = "shop_slot",
                    .plugin = "pgoutput",
                    .database = "shop",
                    .held = 0x5000,
                    .system = "7001",
                    .timeline = 3};
    SystemIdentity system{
        .system = "7001", .timeline = 3, .flushed = 0x9000, .database = "shop", .history = {{1, 0x1000}, {2, 0x2000}}};
    std::optional<SlotState> slot = SlotState{.name = "shop_slot",
                                              .plugin = "pgoutput",
                                              .database = "shop",
                                              .restart_lsn = Lsn(0x4000),
                                              .confirmed_flush_lsn = Lsn(0x4800),
                                              .wal_status = "reserved",
                                              .transactions = 12};
};

Status judged(const std::function<void(Scene&)>& spoil) {
    Scene scene;
    spoil(scene);
    return judge_slot(scene.claim, scene.system, scene.slot);
}

std::string code(const std::function<void(Scene&)>& spoil) {
    auto status = judged(spoil);
    return status ? "ok" : status.error().code;
}

void check_says(const std::function<void(Scene&)>& spoil, ErrorKind kind, const std::string& message,
                const std::string& hint) {
    auto status = judged(spoil);
    REQUIRE(!status);
    CHECK(status.error().kind == kind);
    CHECK(status.error().message == message);
    CHECK(status.error().hint == hint);
    CHECK(status.error().where == "pipelines.shop, slot shop_slot");
}

TEST_CASE("a slot that can go on is let through") {
    CHECK(code([](Scene&) {}) == "ok");
    // Confirmed is at most what the target has; a crash may have set it back.
    CHECK(code([](Scene& s) { s.slot->confirmed_flush_lsn = s.claim.held; }) == "ok");
    CHECK(code([](Scene& s) { s.slot->confirmed_flush_lsn = Lsn(1); }) == "ok");
    CHECK(code([](Scene& s) { s.system.flushed = s.claim.held; }) == "ok");
    CHECK(code([](Scene& s) { s.slot->wal_status = "unreserved"; }) == "ok");
    CHECK(code([](Scene& s) { s.slot->wal_status = ""; }) == "ok");  // before 13
    CHECK(code([](Scene& s) { s.slot->active = true, s.slot->active_pid = s.claim.own_pid = 77; }) == "ok");
}

TEST_CASE("without a checkpoint only fitness counts") {
    auto first = [](auto spoil) {
        return [spoil](Scene& s) {
            s.claim.held = 0, s.claim.system = "", s.claim.timeline = 0;
            spoil(s);
        };
    };
    CHECK(code(first([](Scene&) {})) == "ok");
    CHECK(code(first([](Scene& s) { s.slot.reset(); })) == "slot_missing");
    CHECK(code(first([](Scene& s) { s.slot->plugin = "wal2json"; })) == "slot_plugin");
    CHECK(code(first([](Scene& s) { s.slot->wal_status = "lost"; })) == "slot_lost");
    CHECK(code(first([](Scene& s) { s.slot->active = true, s.slot->active_pid = 5; })) == "slot_active");
}

TEST_CASE("the hint names a plugin only where it can be chosen") {
    check_says([](Scene& s) { s.slot->plugin = "wal2json"; }, ErrorKind::configuration,
               "slot shop_slot writes by plugin wal2json, not by pgoutput",
               "set plugin: wal2json, or name another slot:");
    check_says([](Scene& s) { s.slot->plugin = "test_decoding"; }, ErrorKind::configuration,
               "slot shop_slot writes by plugin test_decoding, not by pgoutput",
               "name another slot:, which `create: true` makes; this one belongs to somebody else");
}

TEST_CASE("the slot went") {
    check_says([](Scene& s) { s.slot.reset(); }, ErrorKind::refused,
               "slot shop_slot does not exist: it was dropped, or the server failed over without it",
               "`penstock run --full-refresh shop` copies the tables again through a new slot; with `failover: true` "
               "(PostgreSQL 17) standbys keep it");
    check_says([](Scene& s) { s.slot->wal_status = "lost"; }, ErrorKind::refused,
               "the server has given up slot shop_slot: changes after 0/5000 are gone",
               "`penstock slots drop shop_slot --confirm`, then `penstock run --full-refresh shop` copies the tables "
               "again through a new slot; so that it lasts "
               "longer, raise max_slot_wal_keep_size or run more often");
    check_says([](Scene& s) { s.slot->invalidation_reason = "wal_level_insufficient"; }, ErrorKind::refused,
               "the server has given up slot shop_slot (wal_level_insufficient): changes after 0/5000 are gone",
               "`penstock slots drop shop_slot --confirm`, then `penstock run --full-refresh shop` copies the tables "
               "again through a new slot");
}

TEST_CASE("the slot moved past the target") {
    check_says([](Scene& s) { s.slot->confirmed_flush_lsn = Lsn(0x5001); }, ErrorKind::refused,
               "somebody else read or moved slot shop_slot: it stands at 0/5001, the target ends at 0/5000, and "
               "changes in the 1 B of log between them are gone",
               "find who else reads it and give each reader a slot of its own; then `penstock slots drop shop_slot "
               "--confirm`, "
               "then `penstock run --full-refresh shop` copies the tables again through a new slot");
    CHECK(code([](Scene& s) { s.slot->confirmed_flush_lsn = Lsn(0x5001), s.slot->transactions.reset(); }) ==
          "slot_advanced");
    check_says([](Scene& s) { s.slot->confirmed_flush_lsn = Lsn(0x6000), s.slot->transactions = 0; },
               ErrorKind::refused,
               "slot shop_slot was dropped and created again: it begins at 0/6000, the target ends at 0/5000, and "
               "changes in the 4.0 KiB of log between them are gone",
               "`penstock slots drop shop_slot --confirm`, then `penstock run --full-refresh shop` copies the tables "
               "again through a new slot");
    // What is lost weighs more than who reads now; and who reads now is named.
    auto taken = judged([](Scene& s) {
        s.slot->confirmed_flush_lsn = Lsn(0x5001), s.slot->active = true, s.slot->active_pid = 9,
        s.slot->holder = "process 9, debezium";
    });
    REQUIRE(!taken);
    CHECK(taken.error().code == "slot_advanced");
    CHECK(taken.error().message.find("(now held by process 9, debezium)") != std::string::npos);
    // Our own reader holding it changes nothing about what went before.
    CHECK(code([](Scene& s) {
              s.slot->confirmed_flush_lsn = Lsn(0x5001), s.slot->active = true,
              s.slot->active_pid = s.claim.own_pid = 9;
          }) == "slot_advanced");
}

TEST_CASE("the slot is another's") {
    check_says(
        [](Scene& s) {
            s.slot->active = true, s.slot->active_pid = 9,
            s.slot->holder = "process 9, debezium, user cdc, from 10.0.0.7";
        },
        ErrorKind::conflict,
        "slot shop_slot is being read by somebody else: process 9, debezium, user cdc, from 10.0.0.7",
        "stop it, or give this pipeline a slot of its own. A reader that was cut off is let go after the server's "
        "wal_sender_timeout");
    CHECK(code([](Scene& s) { s.slot->active = true, s.slot->active_pid = 9, s.claim.own_pid = 8; }) == "slot_active");
    check_says([](Scene& s) { s.slot->plugin = "wal2json"; }, ErrorKind::configuration,
               "slot shop_slot writes by plugin wal2json, not by pgoutput",
               "set plugin: wal2json, or name another slot:");
    check_says([](Scene& s) { s.slot->database = "crm"; }, ErrorKind::configuration,
               "slot shop_slot belongs to database crm, not to shop",
               "name another slot:, or the slot's database in the connection's url");
    CHECK(code([](Scene& s) { s.slot->logical = false, s.slot->plugin = "", s.slot->database = ""; }) ==
          "slot_physical");
}

TEST_CASE("the server is another, or has another past") {
    check_says([](Scene& s) { s.system.system = "7002"; }, ErrorKind::refused,
               "the target was filled from another server: system 7001 at 0/5000; this one is system 7002",
               "point the connection's url back at that server. If this one replaced it (pg_upgrade, a dump, a logical "
               "copy): `penstock run --full-refresh shop` copies "
               "the tables again");
    CHECK(code([](Scene& s) { s.system.timeline = 2, s.system.history = {{1, 0x1000}}; }) == "diverged");
    check_says([](Scene& s) { s.system.flushed = 0x4fff; }, ErrorKind::refused,
               "the server's log ends at 0/4FFF, but the target has changes up to 0/5000: the server was set back "
               "(restored from a copy), or is a standby that has not "
               "caught up",
               "a standby catches up: run again later. Otherwise: `penstock slots drop shop_slot --confirm`, then "
               "`penstock run --full-refresh shop` copies the tables "
               "again through a new slot");
    // What is wrong with the server comes before what is wrong with the slot.
    CHECK(code([](Scene& s) { s.system.system = "7002", s.slot.reset(); }) == "other_system");
}

TEST_CASE("a promoted server may go on where it has all that the target has") {
    auto promoted = [](Lsn left_at) {
        return [left_at](Scene& s) {
            s.system.timeline = 5;
            s.system.history = {{1, 0x1000}, {2, 0x2000}, {3, left_at}, {4, 0x8000}};
        };
    };
    CHECK(code(promoted(0x5000)) == "ok");
    CHECK(code(promoted(0x7000)) == "ok");
    check_says(
        promoted(0x4fff), ErrorKind::refused,
        "the server left timeline 3 at 0/4FFF (a failover or a recovery), but the target has changes up to "
        "0/5000 of it that this server never had",
        "`penstock slots drop shop_slot --confirm`, then `penstock run --full-refresh shop` copies the tables "
        "again through a new slot; a primary that waits for its standby by synchronized_standby_slots (PostgreSQL 17) "
        "lets no capture get ahead of it");
    // Timelines 1, 2, 5: it never was on 3.
    CHECK(code([](Scene& s) { s.system.timeline = 5, s.system.history = {{1, 0x1000}, {2, 0x6000}}; }) == "diverged");
}

}  // namespace
}  // namespace penstock::postgres
