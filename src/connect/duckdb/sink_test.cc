#include "connect/duckdb/sink.h"

#include "connect/duckdb/test_load.h"

namespace penstock::duckdb::test {
namespace {

using data::Kind;
using flow::Mode;

flow::TableTarget orders(Mode mode) {
    flow::TableTarget target{.name = "shop.orders", .mode = mode};
    target.info = {
        .name = "public.orders",
        .schema = {{field("id", Kind::int64, 1), field("status", Kind::text, 2), field("at", Kind::timestamptz, 3)}},
        .key = {"id"},
        .cursor = "at"};
    if (mode == Mode::merge || mode == Mode::history) target.key = {"id"};
    return target;
}

flow::Checkpoint upto(const std::string& cursor) {
    return {.cursor_from = "",
            .cursor_to = cursor,
            .position = R"({"xmin":7})",
            .read_at = TimePoint(std::chrono::microseconds(1234567))};
}

const char* all = "SELECT id, status, epoch_us(\"at\") FROM shop.orders ORDER BY ALL";

TEST_CASE("a first append makes schema, table and checkpoint in one commit") {
    Warehouse warehouse;
    auto counts =
        warehouse.run(orders(Mode::append), {{"1", "a", "10"}, {"2", null, "20"}, {"3", "c", null}}, upto("20"));
    CHECK(counted(counts) == "read 3 written 3 rejected 0 filtered 0");
    CHECK_FALSE(warehouse.plan.exists);
    CHECK(warehouse.line(all) == "1,a,10 2,NULL,20 3,c,NULL");
    CHECK(warehouse.line("SELECT pipeline, batch, \"table\", target, cursor_from, cursor_to, position, "
                         "epoch_us(read_at), rows_read, rows_written "
                         "FROM penstock.pipeline_metadata") ==
          "p,1,public.orders,shop.orders,NULL,20,{\"xmin\":7},1234567,3,3");
    CHECK(warehouse.line("SELECT version, change, decision FROM penstock.schema_registry") ==
          "1,table_created,applied");

    Sink sink(warehouse.settings());
    auto plans = *sink.plan({orders(Mode::append)}, {});
    REQUIRE(plans[0].checkpoint);
    CHECK(*plans[0].checkpoint == upto("20"));
    CHECK(plans[0].decisions.empty());
}

TEST_CASE("planning against a file that is not there creates nothing") {
    Warehouse warehouse;
    Sink sink(warehouse.settings());
    auto plans = *sink.plan({orders(Mode::merge)}, {});
    CHECK_FALSE(plans[0].exists);
    CHECK(plans[0].decisions.at(0).change == "table_created");
    CHECK(std::filesystem::is_empty(warehouse.folder));
}

TEST_CASE("append recognises re-read rows and keeps rows that are rightly there twice") {
    Warehouse warehouse;
    auto target = orders(Mode::append);
    REQUIRE(
        warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "20"}, {"2", "b", "20"}, {"3", "c", "20"}}, upto("20")));
    auto again = warehouse.run(target,
                               {{"2", "b", "20"},
                                {"2", "b", "20"},
                                {"2", "b", "20"},
                                {"3", "c", "20"},
                                {"4", null, "20"},
                                {"5", "e", "30"},
                                {"5", "e", "30"}},
                               upto("30"));
    CHECK(counted(again) == "read 7 written 4 rejected 0 filtered 3");
    CHECK(warehouse.line(all) == "1,a,10 2,b,20 2,b,20 2,b,20 3,c,20 4,NULL,20 5,e,30 5,e,30");
    auto same = warehouse.run(target, {{"5", "e", "30"}, {"5", "e", "30"}}, upto("30"));
    CHECK(counted(same) == "read 2 written 0 rejected 0 filtered 2");
    CHECK(warehouse.line("SELECT batch, rows_filtered FROM penstock.pipeline_metadata ORDER BY 1") == "1,0 2,3 3,2");
}

/// DuckDB's threads used to meet, once in some hundred times, in an order that doubled new rows (tests/test_concurrent_writers.py).
TEST_CASE("append adds new rows once, however often it is tried") {
    Warehouse warehouse;
    auto target = orders(Mode::append);
    std::vector<Row> rows = {{"0", "a", "0"}, {"1", "a", "1"}};
    REQUIRE(warehouse.run(target, rows, upto("1")));
    constexpr int runs = 8;
    for (int last = 2; last < 2 + runs; ++last) {
        rows = {rows.back(), {std::to_string(last), "a", std::to_string(last)}};
        REQUIRE(warehouse.run(target, rows, upto(std::to_string(last))));
    }
    CHECK(warehouse.line("SELECT count(*), count(DISTINCT id) FROM shop.orders") == fmt::format("{0},{0}", 2 + runs));
}

TEST_CASE("replace swaps the whole table and keeps its indexes") {
    Warehouse warehouse;
    auto target = orders(Mode::replace);
    REQUIRE(warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "20"}}));
    warehouse.execute(
        "CREATE INDEX by_status ON shop.orders (status); CREATE VIEW shop.seen AS SELECT id FROM shop.orders");
    CHECK(counted(warehouse.run(target, {{"3", "c", "30"}})) == "read 1 written 1 rejected 0 filtered 0");
    CHECK(warehouse.line(all) == "3,c,30");
    CHECK(warehouse.line("SELECT id FROM shop.seen") == "3");
    CHECK(warehouse.line("SELECT index_name FROM duckdb_indexes()") == "by_status");
    CHECK(warehouse.line("SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE '%staging%'") == "0");
}

TEST_CASE("a failure in the middle leaves the target as it was") {
    for (auto mode : {Mode::append, Mode::replace, Mode::merge, Mode::history}) {
        Warehouse warehouse;
        auto target = orders(mode);
        REQUIRE(warehouse.run(target, {{"1", "a", "10"}}, upto("10")));
        auto failed =
            warehouse.run(target, {{"1", "x", "20"}, {"2", "b", "20"}, {"3", "never", "30"}}, upto("30"),
                          Error{.kind = ErrorKind::unavailable, .code = "gone", .message = "the source went away"});
        REQUIRE_FALSE(failed);
        CHECK(failed.error().code == "gone");
        CHECK(failed.error().kind == ErrorKind::unavailable);
        CHECK(warehouse.line(all) == "1,a,10");
        CHECK(warehouse.line("SELECT max(batch) FROM penstock.pipeline_metadata") == "1");
        CHECK(counted(warehouse.run(target, {{"2", "b", "20"}}, upto("20"))) ==
              "read 1 written 1 rejected 0 filtered 0");
    }
}

TEST_CASE("merge updates and inserts by key, keeps what only the target has, and never deletes") {
    Warehouse warehouse;
    auto target = orders(Mode::merge);
    CHECK(counted(warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "10"}, {"3", "c", "10"}})) ==
          "read 3 written 3 rejected 0 filtered 0");
    warehouse.execute(
        "ALTER TABLE shop.orders ADD COLUMN mine VARCHAR DEFAULT 'new'; UPDATE shop.orders SET mine = 'm' || id");
    std::vector<Row> batch = {{"2", "bb", "20"}, {"4", "d", "20"}, {"3", null, "20"}};
    CHECK(counted(warehouse.run(target, batch)) == "read 3 written 3 rejected 0 filtered 0");
    const char* with_mine = "SELECT id, status, epoch_us(\"at\"), mine FROM shop.orders ORDER BY ALL";
    CHECK(warehouse.line(with_mine) == "1,a,10,m1 2,bb,20,m2 3,NULL,20,m3 4,d,20,new");
    CHECK(counted(warehouse.run(target, batch)) == "read 3 written 3 rejected 0 filtered 0");
    CHECK(warehouse.line(with_mine) == "1,a,10,m1 2,bb,20,m2 3,NULL,20,m3 4,d,20,new");
}

TEST_CASE("merge into a table with a primary key") {
    Warehouse warehouse;
    warehouse.execute(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, status VARCHAR, \"at\" TIMESTAMPTZ, mine "
        "INTEGER DEFAULT 7);"
        "INSERT INTO shop.orders VALUES (1, 'a', NULL, 1), (2, 'b', NULL, 2)");
    CHECK(counted(warehouse.run(orders(Mode::merge), {{"2", "bb", "20"}, {"3", "c", "20"}})) ==
          "read 2 written 2 rejected 0 filtered 0");
    CHECK(warehouse.line("SELECT id, status, mine FROM shop.orders ORDER BY 1") == "1,a,1 2,bb,2 3,c,7");
    CHECK(warehouse.line("SELECT change FROM penstock.schema_registry") == "table_adopted");
}

TEST_CASE("the newest of one key wins; rows that cannot be told apart are rejected") {
    Warehouse warehouse;
    auto target = orders(Mode::merge);
    auto counts = warehouse.run(target, {{"1", "old", "10"},
                                         {"1", "new", "20"},
                                         {"1", null, null},
                                         {"2", "same", "10"},
                                         {"2", "same", "10"},
                                         {"3", "this", "10"},
                                         {"3", "that", "10"},
                                         {"3", "older", "5"},
                                         {null, "no key", "10"},
                                         {"4", "d", "10"}});
    CHECK(counted(counts) == "read 10 written 3 rejected 3 filtered 4");
    CHECK(warehouse.line(all) == "1,new,20 2,same,10 4,d,10");
    CHECK(warehouse.line("SELECT id, code, \"column\", key FROM penstock.rejects ORDER BY id") ==
          "1,null_key,id,{\"id\":null} 2,duplicate_key,id,{\"id\":3} 3,duplicate_key,id,{\"id\":3}");
    CHECK(warehouse.rejected.at(0).payload == R"({"id":null,"status":"no key","at":"1970-01-01 00:00:00.00001+00"})");
    CHECK(warehouse.line("SELECT rows_rejected, error_count FROM penstock.pipeline_metadata") == "3,3");

    warehouse.stop_on_reject = true;
    auto stopped = warehouse.run(target, {{null, "x", "10"}});
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().text().find("has NULL in it") != std::string::npos);
    CHECK(warehouse.line("SELECT count(*) FROM penstock.rejects") == "3");
}

TEST_CASE("a merge without a cursor cannot say which is newer") {
    Warehouse warehouse;
    auto target = orders(Mode::merge);
    target.info.cursor = "";
    CHECK(counted(warehouse.run(target, {{"1", "a", "10"}, {"1", "b", "20"}, {"1", "b", "20"}, {"2", "c", "1"}})) ==
          "read 4 written 1 rejected 2 filtered 1");
}

TEST_CASE("update_when filters rows that do not pass, and a wrong one is the configuration's fault") {
    Warehouse warehouse;
    auto target = orders(Mode::merge);
    REQUIRE(warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "10"}, {"3", "c", null}}));
    target.update_when = "S.at > T.at";
    CHECK(counted(warehouse.run(target, {{"1", "aa", "11"}, {"2", "bb", "9"}, {"3", "cc", "9"}, {"4", "d", "1"}})) ==
          "read 4 written 2 rejected 0 filtered 2");
    CHECK(warehouse.line(all) == "1,aa,11 2,b,10 3,c,NULL 4,d,1");
    target.update_when = "S.nothing > 1";
    auto wrong = warehouse.run(target, {{"1", "x", "30"}});
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == ErrorKind::configuration);
    CHECK(wrong.error().message.find("nothing") != std::string::npos);
}

TEST_CASE("history opens a version for each change and none for what did not change") {
    Warehouse warehouse;
    auto target = orders(Mode::history);
    const char* versions =
        "SELECT id, status, epoch_us(_penstock_valid_from), epoch_us(_penstock_valid_to) FROM shop.orders ORDER BY ALL";
    CHECK(counted(warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "10"}})) ==
          "read 2 written 2 rejected 0 filtered 0");
    std::vector<Row> batch = {
        {"1", "aa", "20"}, {"1", "aaa", "30"}, {"2", "b", "10"}, {"3", "c", "30"}, {"3", "c", "30"}};
    CHECK(counted(warehouse.run(target, batch)) == "read 5 written 3 rejected 0 filtered 2");
    const char* expected = "1,a,10,20 1,aa,20,30 1,aaa,30,NULL 2,b,10,NULL 3,c,30,NULL";
    CHECK(warehouse.line(versions) == expected);
    CHECK(counted(warehouse.run(target, batch)) == "read 5 written 0 rejected 0 filtered 5");
    CHECK(warehouse.line(versions) == expected);
    CHECK(counted(warehouse.run(target, {{"1", "a", "10"}, {"1", "aa", "20"}})) ==
          "read 2 written 0 rejected 0 filtered 2");
    CHECK(warehouse.line(versions) == expected);
}

TEST_CASE("history without a time takes the load's own, and a cursor that did not advance does not hide a change") {
    Warehouse warehouse;
    auto target = orders(Mode::history);
    target.info.cursor = "";
    REQUIRE(warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "10"}}));
    CHECK(counted(warehouse.run(target, {{"1", "changed", "10"}, {"2", "b", "10"}})) ==
          "read 2 written 1 rejected 0 filtered 1");
    CHECK(warehouse.line(
              "SELECT id, status, _penstock_valid_to IS NULL FROM shop.orders ORDER BY id, _penstock_valid_from") ==
          "1,a,false 1,changed,true 2,b,true");
    CHECK(warehouse.line("SELECT count(*) FROM shop.orders a JOIN shop.orders b ON a.id = b.id AND "
                         "a._penstock_valid_to = b._penstock_valid_from "
                         "AND a._penstock_valid_from < a._penstock_valid_to") == "1");
    target.info.cursor = "at";
    CHECK(counted(warehouse.run(target, {{"2", "b with the same time", "10"}})) ==
          "read 1 written 1 rejected 0 filtered 0");
    CHECK(warehouse.line("SELECT status FROM shop.orders WHERE id = 2 AND _penstock_valid_to IS NULL") ==
          "b with the same time");
}

TEST_CASE("partition_by and cluster_by are the order of the rows") {
    Warehouse warehouse;
    auto target = orders(Mode::replace);
    target.partition_by = "status";
    target.cluster_by = {"id"};
    REQUIRE(warehouse.run(target, {{"3", "b", "1"}, {"1", "b", "1"}, {"2", "a", "1"}, {"4", "a", "1"}}));
    CHECK(warehouse.line("SELECT id FROM shop.orders ORDER BY rowid") == "2 4 1 3");
}

TEST_CASE("full refresh rebuilds whatever the mode, and an append follows it") {
    Warehouse warehouse;
    auto target = orders(Mode::append);
    REQUIRE(warehouse.run(target, {{"1", "a", "10"}}, upto("10")));
    target.full_refresh = true;
    CHECK(counted(warehouse.run(target, {{"1", "a", "10"}, {"2", "b", "20"}}, upto("20"))) ==
          "read 2 written 2 rejected 0 filtered 0");
    CHECK(warehouse.line(all) == "1,a,10 2,b,20");
}

TEST_CASE("another run that moved the checkpoint is noticed") {
    Warehouse warehouse;
    auto target = orders(Mode::append);
    REQUIRE(warehouse.run(target, {{"1", "a", "10"}}, upto("10")));
    Sink late(warehouse.settings());
    REQUIRE(late.plan({target}, {}));
    REQUIRE(warehouse.run(target, {{"2", "b", "20"}}, upto("20")));
    REQUIRE(late.begin({.pipeline = "p", .run_id = "late"}));
    RowScan scan(target.info.schema, {{"2", "b", "20"}});
    flow::Progress progress;
    flow::RejectLog rejects({});
    auto counts = late.load(target, scan, {progress, rejects, {}});
    REQUIRE_FALSE(counts);
    CHECK(counts.error().kind == ErrorKind::conflict);
    late.abort();
}

TEST_CASE("wrong keys, missing keys, views and foreign files are said plainly") {
    Warehouse warehouse;
    auto target = orders(Mode::merge);
    target.key = {"idd"};
    auto wrong = warehouse.run(target, {});
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().hint == "did you mean id?");
    target.key = {};
    CHECK(warehouse.run(target, {}).error().code == "key_missing");
    warehouse.execute("CREATE SCHEMA shop; CREATE VIEW shop.orders AS SELECT 1 AS id");
    CHECK(warehouse.run(orders(Mode::append), {}).error().code == "target_is_a_view");
    std::filesystem::remove(warehouse.file);
    std::FILE* file = std::fopen(warehouse.file.c_str(), "w");
    for (int i = 0; i < 5000; ++i) std::fputs("not a database\n", file);
    std::fclose(file);
    auto foreign = warehouse.run(orders(Mode::append), {});
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error().code == "not_a_database");
}

TEST_CASE("leftover staging tables of a killed run are reaped, others stay") {
    Warehouse warehouse;
    warehouse.execute(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders__staging_20261121t063333_9f3a01bc77de (id INTEGER);"
        "CREATE TABLE shop.my__staging_area (id INTEGER)");
    REQUIRE(warehouse.run(orders(Mode::replace), {{"1", "a", "10"}}));
    CHECK(warehouse.line("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'shop' ORDER BY 1") ==
          "my__staging_area orders");
}

}  // namespace
}  // namespace penstock::duckdb::test
