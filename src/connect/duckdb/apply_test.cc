#include "connect/duckdb/test_changes.h"

namespace penstock::duckdb::test {
namespace {

using data::Kind;
using flow::Deletes;
using flow::Mode;

flow::TableTarget notes(Mode mode, Deletes deletes = Deletes::hard) {
    flow::TableTarget target{.name = "shop.notes", .mode = mode, .key = {"id"}};
    target.info = {
        .name = "public.notes",
        .schema = {{field("id", Kind::int32, 1), field("title", Kind::text, 2), field("body", Kind::text, 3)}},
        .key = {"id"},
        .key_is_unique = true,
        .changes = true};
    target.deletes = deletes;
    return target;
}

flow::TableTarget keyless(Mode mode, Deletes deletes = Deletes::hard) {
    auto target = notes(mode, deletes);
    target.key.clear();
    target.info.key.clear();
    return target;
}

const char* mirror = "SELECT id, title, body FROM shop.notes ORDER BY ALL";
const char* marked = "SELECT id, title, body, _penstock_deleted FROM shop.notes ORDER BY ALL";
const char* versions =
    "SELECT id, title, body, epoch_us(_penstock_valid_from), epoch_us(_penstock_valid_to), _penstock_deleted FROM "
    "shop.notes "
    "ORDER BY _penstock_valid_from, id";

TEST_CASE("a snapshot goes straight into an empty table") {
    Log log;
    for (bool whole : {false, true}) {
        Warehouse warehouse;
        Stream stream(warehouse, notes(Mode::merge, Deletes::soft));
        std::vector<Change> rows = {log.r({"1", "a", null}), log.r({"2", "b", "y"})};
        auto counts = whole ? stream.apply(rows) : stream.snapshot(rows);
        CHECK(applied(counts) == "written 2 deleted 0 filtered 0 rejected 0");
        CHECK(warehouse.line(marked) == "1,a,NULL,false 2,b,y,false");
        CHECK(
            warehouse.line("SELECT _penstock_position, _penstock_synced_at > now() - INTERVAL 1 MINUTE FROM shop.notes "
                           "ORDER BY id") == rows[0].position() + ",true " + rows[1].position() + ",true");
        CHECK(applied(whole ? stream.apply(rows) : stream.snapshot(rows)) ==
              "written 0 deleted 0 filtered 2 rejected 0");
        CHECK(warehouse.line(marked) == "1,a,NULL,false 2,b,y,false");
        CHECK(applied(stream.snapshot({log.r({"3", "c", "z"})})) == "written 1 deleted 0 filtered 0 rejected 0");
    }
}

TEST_CASE("of the changes of one key the newest decides, whatever the order they come in") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"})}), stream.error);
    auto c = log.c({"3", "c", "z"});
    auto u = log.u({"3", "d", "z"});
    auto gone = log.d({"2"});
    auto born = log.c({"4", "e", "e"});
    auto dead = log.d({"4"});
    CHECK(applied(stream.apply({dead, u, c, gone, born})) == "written 3 deleted 2 filtered 2 rejected 0");
    CHECK(warehouse.line(mirror) == "1,a,x 3,d,z");
    CHECK(applied(stream.apply({dead, u, c, gone, born})) == "written 2 deleted 2 filtered 3 rejected 0");
    CHECK(warehouse.line(mirror) == "1,a,x 3,d,z");
}

TEST_CASE("insert, update, delete and insert of one key in one part") {
    for (auto mode : {Mode::merge, Mode::history}) {
        Warehouse warehouse;
        Stream stream(warehouse, notes(mode));
        Log log;
        auto counts =
            stream.apply({log.c({"1", "a", "x"}), log.u({"1", "b", "?"}), log.d({"1"}), log.c({"1", "c", null})});
        if (mode == Mode::merge) {
            CHECK(applied(counts) == "written 1 deleted 0 filtered 3 rejected 0");
            CHECK(warehouse.line(mirror) == "1,c,NULL");
        } else {
            CHECK(applied(counts) == "written 4 deleted 1 filtered 0 rejected 0");
            CHECK(warehouse.line(versions) == "1,a,x,1,2,false 1,b,x,2,3,true 1,c,NULL,4,NULL,false");
        }
    }
}

TEST_CASE("a value that was not sent is kept") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    REQUIRE(
        stream.snapshot({log.r({"1", "a", "from the target"}), log.r({"2", "b", "old"}), log.r({"3", "c", "old"})}));
    CHECK(applied(stream.apply({log.u({"1", "a2", "?"}), log.u({"2", "b2", "from the part"}), log.u({"2", "b3", "?"}),
                                log.u({"3", "c2", null}), log.u({"3", "?", "?"})})) ==
          "written 3 deleted 0 filtered 2 rejected 0");
    CHECK(warehouse.line(mirror) == "1,a2,from the target 2,b3,from the part 3,c2,NULL");
}

TEST_CASE("values follow a row through changes of its key") {
    for (auto mode : {Mode::merge, Mode::history}) {
        Warehouse warehouse;
        Stream stream(warehouse, notes(mode));
        Log log;
        REQUIRE_MESSAGE(
            stream.snapshot({log.r({"1", "a", "one"}), log.r({"2", "b", "two"}), log.r({"5", "e", "five"})}),
            stream.error);
        // 1 and 2 change places by way of 9; 5 gets a new body, moves to 6 and is changed there.
        std::vector<Change> part = {log.d({"1"}),
                                    log.c({"9", "a", "?"}).moved(1, {"1"}),
                                    log.d({"2"}),
                                    log.c({"1", "b", "?"}).moved(2, {"2"}),
                                    log.d({"9"}),
                                    log.c({"2", "a", "?"}).moved(1, {"1"}),
                                    log.u({"5", "?", "fresh"}),
                                    log.d({"5"}),
                                    log.c({"6", "?", "?"}).moved(3, {"5"}),
                                    log.u({"6", "f", "?"}).moved(3, {"5"})};
        REQUIRE_MESSAGE(stream.apply(part), stream.error);
        std::string now = mode == Mode::merge ? mirror
                                              : "SELECT id, title, body FROM shop.notes WHERE "
                                                "_penstock_valid_to IS NULL ORDER BY ALL";
        CHECK(warehouse.line(now) == "1,b,two 2,a,one 6,f,fresh");
        REQUIRE_MESSAGE(stream.apply(part), stream.error);
        CHECK(warehouse.line(now) == "1,b,two 2,a,one 6,f,fresh");
        if (mode == Mode::history)
            CHECK(warehouse.line("SELECT id, title, body FROM shop.notes WHERE _penstock_valid_to IS NOT NULL ORDER BY "
                                 "_penstock_valid_from, id") == "1,a,one 2,b,two 5,e,five 9,a,one 5,e,fresh 6,e,fresh");
    }
}

TEST_CASE("a truncate takes what came before it and nothing else") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"})}), stream.error);
    std::vector<Change> part = {log.c({"3", "c", "z"}), log.t(), log.c({"2", "b", "new"}), log.t(),
                                log.c({"1", "a", "new"})};
    CHECK(applied(stream.apply(part)) == "written 2 deleted 0 filtered 3 rejected 0");
    CHECK(warehouse.line(mirror) == "1,a,new");
    REQUIRE_MESSAGE(stream.apply({log.c({"7", "g", "g"})}), stream.error);
    REQUIRE_MESSAGE(stream.apply(part), stream.error);
    CHECK(warehouse.line(mirror) == "1,a,new 7,g,g");
}

TEST_CASE("soft deletes keep the last values") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::merge, Deletes::soft));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"}), log.r({"3", "c", "z"})}),
                    stream.error);
    std::vector<Change> part = {log.d({"1"}), log.u({"2", "b2", "?"}), log.d({"2"})};
    CHECK(applied(stream.apply(part)) == "written 2 deleted 2 filtered 1 rejected 0");
    CHECK(warehouse.line(marked) == "1,a,x,true 2,b2,y,true 3,c,z,false");
    CHECK(applied(stream.apply(part)) == "written 0 deleted 0 filtered 3 rejected 0");
    REQUIRE_MESSAGE(
        stream.apply({log.c({"1", "again", null}), log.c({"4", "d", "d"}), log.t(), log.c({"5", "e", "e"})}),
        stream.error);
    CHECK(warehouse.line(marked) == "1,again,NULL,true 2,b2,y,true 3,c,z,true 4,d,d,true 5,e,e,false");
    CHECK(warehouse.line("SELECT count(DISTINCT _penstock_position) FROM shop.notes WHERE id IN (1, 3, 4)") == "1");
}

TEST_CASE("history has a version of every change") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::history));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"})}), stream.error);
    std::vector<Change> part = {log.u({"1", "a", "?"}), log.d({"2"}), log.c({"3", "c", "z"}), log.t(),
                                log.c({"1", "new", "n"})};
    CHECK(applied(stream.apply(part)) == "written 5 deleted 1 filtered 0 rejected 0");
    std::string expected = "1,a,x,1,3,false 2,b,y,2,4,true 1,a,x,3,6,true 3,c,z,5,6,true 1,new,n,7,NULL,false";
    CHECK(warehouse.line(versions) == expected);
    REQUIRE_MESSAGE(stream.apply(part), stream.error);
    CHECK(warehouse.line(versions) == expected);
}

TEST_CASE("without key one equal row goes for each delete") {
    Warehouse warehouse;
    Stream stream(warehouse, keyless(Mode::merge));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", null}), log.r({"1", "a", null}), log.r({"1", "a", null}),
                                     log.r({"2", "b", "y"})}),
                    stream.error);
    CHECK(applied(stream.apply({log.d({"1", "a", null}), log.c({"1", "a2", null}), log.c({"3", "c", "z"}),
                                log.c({"3", "c", "z"}), log.d({"3", "c", "z"})})) ==
          "written 4 deleted 2 filtered 1 rejected 0");
    CHECK(warehouse.line(mirror) == "1,a,NULL 1,a,NULL 1,a2,NULL 2,b,y 3,c,z");
    REQUIRE_MESSAGE(stream.apply({log.t(), log.c({"1", "a", null}), log.c({"1", "a", null}), log.d({"1", "a", null})}),
                    stream.error);
    CHECK(warehouse.line(mirror) == "1,a,NULL");
}

TEST_CASE("without key deleted rows can stay, as they can become versions") {
    for (auto mode : {Mode::merge, Mode::history}) {
        Warehouse warehouse;
        Stream stream(warehouse, keyless(mode, Deletes::soft));
        Log log;
        REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", null}), log.r({"1", "a", null})}), stream.error);
        std::vector<Change> part = {log.d({"1", "a", null}), log.c({"1", "b", null}), log.d({"1", "b", null}),
                                    log.c({"2", "c", "z"})};
        for (int again = 0; again < 2; ++again) {
            REQUIRE_MESSAGE(stream.apply(part), stream.error);
            CHECK(warehouse.line(marked) == "1,a,NULL,false 1,a,NULL,true 1,b,NULL,true 2,c,z,false");
        }
        if (mode == Mode::history)
            CHECK(warehouse.line(
                      "SELECT title, epoch_us(_penstock_valid_from), epoch_us(_penstock_valid_to) FROM shop.notes "
                      "WHERE _penstock_deleted ORDER BY 1") == "a,1,3 b,4,5");
    }
}

TEST_CASE("a change of a row that the target never had is rejected where values are missing") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    CHECK(applied(stream.apply({log.u({"1", "a", "?"}), log.u({"2", "b", "y"})})) ==
          "written 1 deleted 0 filtered 0 rejected 1");
    CHECK(warehouse.line(mirror) == "2,b,y");
    REQUIRE(stream.rejected.size() == 1);
    CHECK(stream.rejected[0].code == "unsent_value");
    CHECK(stream.rejected[0].column == "body");
    CHECK(stream.rejected[0].key == R"({"id":1})");
}

TEST_CASE("columns that only the target has keep their values") {
    Warehouse warehouse;
    {
        Stream stream(warehouse, notes(Mode::merge));
        Log log;
        REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"})}), stream.error);
    }
    warehouse.execute(
        "ALTER TABLE shop.notes ADD COLUMN mine VARCHAR DEFAULT 'none'; UPDATE shop.notes SET mine = 'my ' || id");
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    for (int i = 0; i < 9; ++i) log.t();
    REQUIRE_MESSAGE(stream.apply({log.u({"1", "a2", "?"}), log.c({"3", "c", "z"}), log.d({"2"})}), stream.error);
    CHECK(warehouse.line("SELECT id, title, body, mine FROM shop.notes ORDER BY id") == "1,a2,x,my 1 3,c,z,none");
}

TEST_CASE("a unique index on the target stands no chance of being violated") {
    for (auto deletes : {Deletes::hard, Deletes::soft}) {
        Warehouse warehouse;
        warehouse.execute(
            "CREATE SCHEMA shop; CREATE TABLE shop.notes (id INTEGER PRIMARY KEY, title VARCHAR, body VARCHAR)");
        Stream stream(warehouse, notes(Mode::merge, deletes));
        Log log;
        REQUIRE_MESSAGE(
            stream.snapshot({log.r({"1", "a", "one"}), log.r({"2", "b", "two"}), log.r({"3", "c", "three"})}),
            stream.error);
        REQUIRE_MESSAGE(stream.apply({log.d({"1"}), log.c({"9", "a", "?"}).moved(1, {"1"}), log.d({"2"}),
                                      log.c({"1", "b", "?"}).moved(2, {"2"}), log.d({"9"}),
                                      log.c({"2", "a", "?"}).moved(1, {"1"}), log.u({"3", "c2", "?"})}),
                        stream.error);
        const char* alive = deletes == Deletes::hard ? mirror
                                                     : "SELECT id, title, body FROM shop.notes WHERE NOT "
                                                       "_penstock_deleted ORDER BY ALL";
        CHECK(warehouse.line(alive) == "1,b,two 2,a,one 3,c2,three");
        REQUIRE_MESSAGE(stream.apply({log.d({"3"})}), stream.error);
        CHECK(warehouse.line(alive) == "1,b,two 2,a,one");
        if (deletes == Deletes::soft)
            CHECK(warehouse.line("SELECT id, title, body FROM shop.notes WHERE _penstock_deleted ORDER BY id") ==
                  "3,c2,three 9,a,one");
        REQUIRE_MESSAGE(stream.apply({log.c({"3", "c3", "new"})}), stream.error);
        CHECK(warehouse.line(alive) == "1,b,two 2,a,one 3,c3,new");
    }
}

TEST_CASE("a table that was loaded before its changes were captured takes them up") {
    Warehouse warehouse;
    auto loaded = notes(Mode::merge);
    loaded.info.changes = false;
    REQUIRE(warehouse.run(loaded, {{"1", "a", "x"}, {"2", "b", "y"}}));
    Stream stream(warehouse, notes(Mode::merge, Deletes::soft));
    Log log;
    stream.target.schema_change = flow::SchemaChange::freeze;
    CHECK(stream.apply({log.d({"1"})}).error().code == "schema_change_refused");
    stream.target.schema_change = flow::SchemaChange::evolve;
    REQUIRE_MESSAGE(stream.apply({log.d({"1"}), log.u({"2", "b2", "?"})}), stream.error);
    CHECK(warehouse.line(marked) == "1,a,x,true 2,b2,y,false");
    stream.target.deletes = Deletes::hard;
    REQUIRE_MESSAGE(stream.apply({log.d({"2"}), log.c({"1", "a", "back"})}), stream.error);
    CHECK(warehouse.line(marked) == "1,a,back,false");
}

TEST_CASE("a target may be wider than the source, in its key too") {
    Warehouse warehouse;
    warehouse.execute("CREATE SCHEMA shop; CREATE TABLE shop.notes (body VARCHAR, id BIGINT, title VARCHAR)");
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"})}), stream.error);
    REQUIRE_MESSAGE(stream.apply({log.d({"1"}), log.c({"2", "a", "?"}).moved(1, {"1"})}), stream.error);
    CHECK(warehouse.line(mirror) == "2,a,x");
}

TEST_CASE("a column that is new in the source comes with its values or not at all") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::merge));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"})}), stream.error);
    auto& fields = stream.target.info.schema.fields;
    fields.push_back(field("stars", Kind::int32, 4));
    REQUIRE_MESSAGE(stream.apply({log.u({"1", "a", "?", "5"})}), stream.error);
    CHECK(warehouse.line("SELECT id, body, stars FROM shop.notes ORDER BY id") == "1,x,5 2,y,NULL");
    // Its default was computed row by row: what rows already there have in it does not come with the stream.
    fields.push_back(field("token", Kind::text, 5));
    fields.back().initial_unknown = true;
    CHECK(stream.apply({log.u({"1", "a", "?", "5", "t"})}).error().code == "schema_change_refused");
    CHECK(stream.error.find("--full-refresh") != std::string::npos);
}

TEST_CASE("a whole table beside what is there: history gets versions of what differs and closes what is gone") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::history));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"}), log.r({"3", "c", "z"})}),
                    stream.error);
    stream.target.whole = true;
    auto rows = {log.r({"1", "a", "x"}), log.r({"2", "b", "other"}), log.r({"4", "d", "new"})};
    REQUIRE_MESSAGE(stream.snapshot(rows), stream.error);
    CHECK(warehouse.line("SELECT id, body, _penstock_valid_to IS NULL, _penstock_deleted FROM shop.notes ORDER BY id, "
                         "_penstock_valid_from") ==
          "1,x,true,false 2,y,false,false 2,other,true,false 3,z,false,true 4,new,true,false");
    REQUIRE_MESSAGE(stream.snapshot(rows), stream.error);
    CHECK(warehouse.line("SELECT count(*) FROM shop.notes") == "5");
    REQUIRE_MESSAGE(stream.snapshot({}), stream.error);
    CHECK(warehouse.line("SELECT count(*), count(*) FILTER (_penstock_deleted) FROM shop.notes") == "5,4");
}

TEST_CASE("a whole table beside what is there: soft deletes mark what is gone, and columns of the target's own stay") {
    Warehouse warehouse;
    auto target = notes(Mode::merge);
    target.deletes = flow::Deletes::soft;
    Stream stream(warehouse, target);
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"}), log.r({"2", "b", "y"}), log.r({"3", "c", "z"})}),
                    stream.error);
    REQUIRE_MESSAGE(stream.apply({log.d({"3", "NULL", "NULL"})}), stream.error);
    stream.target.whole = true;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "other"}), log.r({"3", "c", "back"})}), stream.error);
    CHECK(warehouse.line("SELECT id, body, _penstock_deleted FROM shop.notes ORDER BY id") ==
          "1,other,false 2,y,true 3,back,false");
    stream.target.whole = false;
    REQUIRE_MESSAGE(stream.apply({log.u({"2", "b", "again"})}), stream.error);
    CHECK(warehouse.line("SELECT id, body, _penstock_deleted FROM shop.notes WHERE id = 2") == "2,again,false");
}

TEST_CASE("a whole table beside what is there: without key rows are told by their values") {
    Warehouse warehouse;
    Stream stream(warehouse, keyless(Mode::history));
    Log log;
    auto row = [&](const char* title) { return log.r({"1", title, "x"}); };
    REQUIRE_MESSAGE(stream.snapshot({row("a"), row("a"), row("b")}), stream.error);
    stream.target.whole = true;
    REQUIRE_MESSAGE(stream.snapshot({row("a"), row("c"), row("c")}), stream.error);
    CHECK(warehouse.line(
              "SELECT title, count(*) FROM shop.notes WHERE _penstock_valid_to IS NULL GROUP BY 1 ORDER BY 1") ==
          "a,1 c,2");
    CHECK(warehouse.line("SELECT count(*) FROM shop.notes WHERE _penstock_deleted") == "2");
}

TEST_CASE("what cannot be applied is said plainly") {
    Warehouse warehouse;
    Log log;
    Stream append(warehouse, notes(Mode::append));
    CHECK(append.apply({log.c({"1", "a", "x"})}).error().code == "not_for_changes");
    Stream conditional(warehouse, notes(Mode::merge));
    conditional.target.update_when = "true";
    CHECK(conditional.apply({log.c({"1", "a", "x"})}).error().code == "not_for_changes");
    Stream stream(warehouse, notes(Mode::merge));
    auto strange = log.c({"1", "a", "x"});
    strange.op = 'm';
    CHECK(stream.apply({strange}).error().code == "unknown_change");
    Stream values(warehouse, keyless(Mode::merge));
    CHECK(values.apply({log.c({"1", "a", "?"})}).error().code == "unsent_without_key");
}

TEST_CASE("a full refresh from a snapshot builds the table again") {
    Warehouse warehouse;
    Stream stream(warehouse, notes(Mode::history));
    Log log;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"1", "a", "x"})}), stream.error);
    stream.target.full_refresh = true;
    REQUIRE_MESSAGE(stream.snapshot({log.r({"2", "b", "y"})}), stream.error);
    CHECK(warehouse.line(versions) == "2,b,y,2,NULL,false");
    CHECK(warehouse.line("SELECT count(*) FROM penstock.schema_registry WHERE change = 'column_dropped'") == "0");
}

}  // namespace
}  // namespace penstock::duckdb::test
