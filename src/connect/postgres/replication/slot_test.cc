#include "connect/postgres/replication/slot.h"

#include <doctest/doctest.h>

#include "connect/postgres/replication/replication_error.h"

namespace penstock::postgres {
namespace {

TEST_CASE("a slot's creation is asked for as the version understands it") {
    SlotRequest plain{.name = "s"};
    CHECK(create_slot_command(plain, 150004) ==
          R"(CREATE_REPLICATION_SLOT "s" LOGICAL "pgoutput" (SNAPSHOT 'export'))");
    CHECK(create_slot_command(plain, 140009) == R"(CREATE_REPLICATION_SLOT "s" LOGICAL "pgoutput" EXPORT_SNAPSHOT)");
    SlotRequest all{.name = "s", .plugin = "wal2json", .two_phase = true, .failover = true};
    CHECK(create_slot_command(all, 120000) == R"(CREATE_REPLICATION_SLOT "s" LOGICAL "wal2json" EXPORT_SNAPSHOT)");
    CHECK(create_slot_command(all, 140000) ==
          R"(CREATE_REPLICATION_SLOT "s" LOGICAL "wal2json" EXPORT_SNAPSHOT TWO_PHASE)");
    CHECK(create_slot_command(all, 160000) ==
          R"(CREATE_REPLICATION_SLOT "s" LOGICAL "wal2json" (SNAPSHOT 'export', TWO_PHASE true))");
    CHECK(create_slot_command(all, 170000) ==
          R"(CREATE_REPLICATION_SLOT "s" LOGICAL "wal2json" (SNAPSHOT 'export', TWO_PHASE true, FAILOVER true))");
    all.temporary = true;
    CHECK(create_slot_command(all, 180000) ==
          R"(CREATE_REPLICATION_SLOT "s" TEMPORARY LOGICAL "wal2json" (SNAPSHOT 'export', TWO_PHASE true))");
}

TEST_CASE("a timeline's history is read") {
    CHECK(parse_timeline_history("") == std::vector<TimelineSwitch>{});
    CHECK(parse_timeline_history(
              "1\t0/3000060\tno recovery target specified\n\n2\t16/B374D848\tbefore 2026-01-01 00:00:00+00\n") ==
          std::vector<TimelineSwitch>{{1, 0x3000060}, {2, 0x16'B374D848}});
    CHECK(parse_timeline_history("# a comment\n 1 0/10 why\n2\tnonsense\n3") == std::vector<TimelineSwitch>{{1, 0x10}});
}

TEST_CASE("replication's answers are told with their remedies") {
    auto told = [](std::string_view sqlstate, std::string_view message, std::string_view detail = "") {
        return replication_error(
                   server_error({"shop", "db:5432/shop"}, sqlstate, message, detail, "", "START_REPLICATION"))
            .code;
    };
    CHECK(told("55006", "replication slot \"s\" is active for PID 77") == "slot_active");
    CHECK(told("42704", "replication slot \"s\" does not exist") == "slot_missing");
    CHECK(told("42704", "publication \"p\" does not exist") == "publication_missing");
    CHECK(told("42710", "replication slot \"s\" already exists") == "slot_exists");
    CHECK(told("42710", "publication \"p\" already exists") == "publication_exists");
    CHECK(told("55000", "logical decoding requires wal_level >= logical") == "wal_level");
    CHECK(told("55000", "logical decoding requires \"wal_level\" >= \"logical\"") == "wal_level");
    CHECK(told("55000", "can no longer get changes from replication slot \"s\"",
               "This slot has been invalidated because it exceeded the maximum reserved size.") == "slot_lost");
    CHECK(told("55000", "cannot read from logical replication slot \"s\"",
               "This slot has been invalidated because it exceeded the maximum reserved size.") == "slot_lost");
    CHECK(told("55000", "can no longer access replication slot \"s\"",
               "This replication slot has been invalidated due to \"wal_removed\".") == "slot_lost");
    CHECK(told("55000", "replication slot \"s\" was not created in this database") == "slot_database");
    CHECK(told("55000", "cannot use physical replication slot for logical decoding") == "slot_physical");
    CHECK(told("53400", "all replication slots are in use") == "no_slots");
    CHECK(told("53300", "number of requested standby connections exceeds max_wal_senders (currently 10)") ==
          "too_many_walsenders");
    CHECK(told("42501", "must be superuser or replication role to use replication slots") ==
          "no_replication_privilege");
    CHECK(told("42501", "permission denied to use replication slots",
               "Only roles with the REPLICATION attribute may use replication slots.") == "no_replication_privilege");
    CHECK(told("42501", "must be owner of table t") == "no_publication_privilege");
    CHECK(told("42501", "permission denied for database shop") == "no_publication_privilege");
    CHECK(told("58P01", "could not access file \"wal2json\": No such file or directory") == "plugin_missing");
    CHECK(told("58P01", "requested WAL segment 000000010000000000000001 has already been removed") == "slot_lost");
    CHECK(told("0A000", "client sent proto_version=4 but server only supports protocol 3 or lower") ==
          "protocol_version");
    CHECK(told("08006", "connection reset") == "connection_lost");  // nothing of ours
}

}  // namespace
}  // namespace penstock::postgres
