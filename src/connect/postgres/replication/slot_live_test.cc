// Slots and publications against a real server.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <thread>

#include "connect/postgres/replication/live_capture.h"
#include "connect/postgres/replication/publication.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/replication/slot_guard.h"

namespace penstock::postgres {
namespace {

using namespace std::chrono_literals;
using Got = ReplicationStream::Got;
using Channel = Session::Channel;

TEST_CASE("live: too many slots, too many walsenders") {
    std::vector<std::string> made;
    while (made.size() < 10 &&
           session()->query(fmt::format("SELECT pg_create_physical_replication_slot('many{}')", made.size())))
        made.push_back(fmt::format("many{}", made.size()));
    CHECK(made.size() <= 6);
    auto logical = create_slot(*session(Channel::replication), {.name = "one_more"}, {});
    REQUIRE(!logical);
    CHECK(logical.error().code == "no_slots");
    for (const auto& slot : made) must(drop_slot(*session(), slot));

    std::vector<std::unique_ptr<Session>> sessions;
    std::string refusal;
    while (sessions.size() < 10 && refusal.empty()) {
        auto connected = Session::connect(server().options(), "test", {}, Channel::replication);
        if (connected) sessions.push_back(std::move(*connected));
        else refusal = connected.error().code;
    }
    CHECK(refusal == "too_many_walsenders");
}

TEST_CASE("live: a slot's creation waits for open transactions, and a stop leaves none") {
    auto writing = session();
    must(writing->execute("SET default_transaction_read_only = off"));
    must(writing->execute("BEGIN"));
    must(writing->execute("CREATE TABLE half_done (a int)"));
    std::stop_source stop;
    std::jthread stopper([&] {
        std::this_thread::sleep_for(500ms);
        stop.request_stop();
    });
    auto creating = session(Channel::replication);
    auto created = create_slot(*creating, {.name = "waiting"}, stop.get_token());
    REQUIRE(!created);
    CHECK(created.error().kind == ErrorKind::interrupted);
    CHECK(!must(find_slot(*session(), "waiting")));
}

TEST_CASE("live: slots are listed, judged, moved and dropped") {
    Captured table("guarded");
    table.insert(1, 10);
    auto replication = session(Channel::replication);
    auto identity = must(identify_system(*replication));
    CHECK(identity.database == "postgres");
    CHECK(identity.timeline == 1);
    auto control = must(session()->query("SELECT system_identifier::text FROM pg_control_system()"));
    CHECK(identity.system == control.text(0, 0));

    Lsn durable;
    {
        auto stream = table.stream();
        durable = read_rows(*stream, 10).last_commit;
        SlotClaim ours{.pipeline = "p",
                       .slot = "guarded",
                       .plugin = "pgoutput",
                       .database = "postgres",
                       .held = durable,
                       .system = identity.system,
                       .timeline = 1};
        auto now = must(identify_system(*replication));
        auto judged = judge_slot(ours, now, table.state());
        REQUIRE(!judged);
        CHECK(judged.error().code == "slot_active");
        ours.own_pid = stream->server_pid();
        must(judge_slot(ours, now, table.state()));
        must(stream->close());
    }
    SlotClaim claim{.pipeline = "p",
                    .slot = "guarded",
                    .plugin = "pgoutput",
                    .database = "postgres",
                    .held = durable,
                    .system = identity.system,
                    .timeline = 1};
    auto judge = [&] {
        auto judged = judge_slot(claim, must(identify_system(*replication)), must(find_slot(*session(), "guarded")));
        return judged ? std::string("ok") : judged.error().code;
    };
    CHECK(judge() == "ok");
    auto state = table.state();
    CHECK(state.plugin == "pgoutput");
    CHECK(state.database == "postgres");
    CHECK(state.logical);
    CHECK(!state.temporary);
    CHECK(state.wal_status == "reserved");
    CHECK(*state.retained_bytes > 0);
    CHECK(*state.restart_lsn <= *state.confirmed_flush_lsn);

    table.insert(11, 12);
    auto moved = must(advance_slot(*session(), "guarded", must(identify_system(*replication)).flushed));
    CHECK(moved > durable);
    // Statistics are reported when a decoding process ends or pauses.
    for (int tries = 0; tries < 50 && table.state().transactions == 0; ++tries) std::this_thread::sleep_for(20ms);
    CHECK(judge() == "slot_advanced");
    must(drop_slot(*session(), "guarded"));
    CHECK(judge() == "slot_missing");
    table.insert(13, 13);
    must(create_slot(*session(Channel::replication), {.name = "guarded"}, {}));
    CHECK(judge() == "slot_recreated");
    claim.held = 0;
    CHECK(judge() == "ok");
    int found = 0;
    for (const auto& slot : must(list_slots(*replication))) found += slot.name == "guarded";
    CHECK(found == 1);
}

TEST_CASE("live: a server on a new timeline goes on where the old one was left") {
    ThrowawayServer own;
    Captured table("timelines", own);
    table.insert(1, 3);
    auto stream = table.stream();
    auto known = read_rows(*stream, 3).last_commit;
    stream.reset();
    table.creator.reset();
    own.recover();
    auto identity = must(identify_system(*session(Channel::replication, own)));
    CHECK(identity.timeline == 2);
    REQUIRE(identity.history.size() == 1);
    CHECK(identity.history[0].timeline == 1);
    CHECK(identity.history[0].at >= known);
    SlotClaim claim{.pipeline = "p",
                    .slot = "timelines",
                    .plugin = "pgoutput",
                    .database = "postgres",
                    .held = known,
                    .system = identity.system,
                    .timeline = 1};
    auto judge = [&] {
        auto judged = judge_slot(claim, identity, table.state());
        return judged ? std::string("ok") : judged.error().code;
    };
    CHECK(judge() == "ok");
    table.insert(4, 5);
    stream = table.stream(known);
    CHECK(read_rows(*stream, 2).rows == 2);
    claim.held = identity.history[0].at + 1;
    CHECK(judge() == "diverged");
    claim.timeline = 3;
    CHECK(judge() == "diverged");
}

TEST_CASE("live: publications and identities are made and read back") {
    sql("CREATE SCHEMA \"Od'd\"; CREATE TABLE \"Od'd\".\"a \"\"table\" (id int PRIMARY KEY, \"b,c\" text, secret text, "
        "twice int GENERATED ALWAYS AS (id * 2) STORED);"
        "CREATE TABLE parts (id int, at date, PRIMARY KEY (at, id)) PARTITION BY RANGE (at); CREATE TABLE parts_1 "
        "PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');"
        "CREATE TABLE keyless (a int); CREATE TABLE whole (a int); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE "
        "TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;"
        "CREATE TABLE indexed (a int NOT NULL, b int NOT NULL, c int); CREATE UNIQUE INDEX by_ba ON indexed (b, a) "
        "INCLUDE (c); ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_ba;"
        "CREATE TABLE deferred (a int, PRIMARY KEY (a) DEFERRABLE)");
    auto ordinary = session();
    CHECK(!must(find_publication(*ordinary, "it's \"odd\"")));
    must(create_publication(
        *ordinary, {.name = "it's \"odd\"",
                    .tables = {{.table = {"Od'd", "a \"table"}, .columns = {"id", "b,c"}, .row_filter = "id > 5"},
                               {.table = {"public", "parts"}}}}));
    must(add_to_publication(*ordinary, "it's \"odd\"", {{.table = {"public", "keyless"}}}));
    for (auto channel : {Channel::ordinary, Channel::replication}) {
        auto found = must(find_publication(*session(channel), "it's \"odd\""));
        REQUIRE(found);
        CHECK(found->via_partition_root);
        CHECK(!found->all_tables);
        CHECK(found->truncates);
        REQUIRE(found->tables.size() == 3);
        CHECK(found->tables[0].table == TableName{"Od'd", "a \"table"});
        CHECK(found->tables[0].columns == std::vector<std::string>{"id", "b,c"});
        CHECK(found->tables[0].row_filter == "(id > 5)");
        CHECK(found->tables[1].table.name == "keyless");
        CHECK(found->tables[2].table.name == "parts");
        CHECK(found->tables[2].columns == std::vector<std::string>{"id", "at"});
        CHECK(found->tables[2].row_filter.empty());
    }
    auto twice = create_publication(*ordinary, {.name = "it's \"odd\"", .tables = {{.table = {"public", "parts"}}}});
    REQUIRE(!twice);
    CHECK(twice.error().code == "publication_exists");
    must(ordinary->query("SELECT 1"));  // not inside a failed transaction
    must(drop_publication(*ordinary, "it's \"odd\""));
    CHECK(!must(find_publication(*ordinary, "it's \"odd\"")));

    sql("CREATE ROLE reader LOGIN");
    auto reader = must(Session::connect(server().options("postgres", "reader"), "test", {}));
    auto refused = create_publication(*reader, {.name = "mine", .tables = {{.table = {"public", "parts"}}}});
    REQUIRE(!refused);
    CHECK(refused.error().code == "no_publication_privilege");

    auto identities = must(replica_identities(*ordinary, {{"public", "parts"},
                                                          {"Od'd", "a \"table"},
                                                          {"public", "keyless"},
                                                          {"public", "whole"},
                                                          {"public", "nothing"},
                                                          {"public", "indexed"},
                                                          {"public", "deferred"}}));
    std::string shown;
    for (const auto& identity : identities)
        shown += fmt::format("{}:{}:{}:{} ", identity.table.name, identity.kind, fmt::join(identity.key, ","),
                             identity.identifies());
    CHECK(shown ==
          "parts:d:at,id:true a \"table:d:id:true keyless:d::false whole:f::true nothing:n::false indexed:i:b,a:true "
          "deferred:d::false ");
    auto missing = replica_identities(*ordinary, {{"public", "parts"}, {"public", "gone"}, {"public", "whole"}});
    REQUIRE(!missing);
    CHECK(missing.error().message.find("public.gone") != std::string::npos);
}

TEST_CASE("live: a slot the server gave up, and a server without logical decoding") {
    ThrowawayServer own("max_slot_wal_keep_size = 1MB\nmin_wal_size = 32MB\n");
    Captured table("lost", own);
    table.creator.reset();
    for (int i = 0; i < 4; ++i)
        sql("CREATE TABLE IF NOT EXISTS filler (t text); INSERT INTO filler SELECT repeat('x', 1000) FROM "
            "generate_series(1, 10000)",
            own),
            must(session(Channel::ordinary, own)->query("SELECT pg_switch_wal()")), sql("CHECKPOINT", own);
    auto state = table.state();
    CHECK(state.lost());
    CHECK(table.refusal() == "slot_lost");
    auto identity = must(identify_system(*session(Channel::replication, own)));
    auto judged = judge_slot({.pipeline = "p",
                              .slot = "lost",
                              .plugin = "pgoutput",
                              .database = "postgres",
                              .held = table.created.consistent_point,
                              .system = identity.system,
                              .timeline = 1},
                             identity, state);
    REQUIRE(!judged);
    CHECK(judged.error().code == "slot_lost");
    must(drop_slot(*session(Channel::ordinary, own), "lost"));
    sql("ALTER SYSTEM SET wal_level = replica", own);
    own.restart();
    auto created = create_slot(*session(Channel::replication, own), {.name = "lost"}, {});
    REQUIRE(!created);
    CHECK(created.error().code == "wal_level");
}

}  // namespace
}  // namespace penstock::postgres
