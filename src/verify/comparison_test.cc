#include "verify/comparison.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "engine/compared.h"
#include "engine/database.h"

namespace penstock::verify {
namespace {

/// Two tables of one engine, s and t.
struct Pair {
    engine::Database database = *engine::Database::in_memory({});
    std::shared_ptr<engine::Connection> connection = std::make_shared<engine::Connection>(*database.connect());

    void run(const std::string& sql) const {
        if (auto done = connection->execute(sql); !done) FAIL(done.error().text());
    }

    Outcome compare(Request request, const std::string& newer = "") const {
        auto source = *engine::compared_table(connection, "s"), target = *engine::compared_table(connection, "t");
        source.newer = newer;
        auto outcome = Comparison(source, target, std::move(request)).run();
        if (!outcome) FAIL(outcome.error().text());
        return *outcome;
    }
};

Pair equal_tables(int rows) {
    Pair pair;
    pair.run(fmt::format("CREATE TABLE s AS SELECT i AS id, 'v' || i AS v FROM range({}) AS r(i)", rows));
    pair.run("CREATE TABLE t AS FROM s");
    return pair;
}

int64_t count(const Outcome& outcome, DifferenceKind kind) {
    auto found = outcome.counts.find(kind);
    return found == outcome.counts.end() ? 0 : found->second;
}

TEST_CASE("only partitions that differ are looked into, down to the column") {
    auto pair = equal_tables(10'000);
    CHECK(pair.compare({.key = {"id"}}).total() == 0);
    pair.run("UPDATE t SET v = v || ' ' WHERE id = 17; DELETE FROM t WHERE id = 18; INSERT INTO t VALUES (-5, NULL)");
    auto outcome = pair.compare({.key = {"id"}});
    CHECK(outcome.partitions >= 10);
    CHECK(outcome.differing_partitions == 3);
    CHECK(outcome.source.rows == 10'000);
    for (auto kind : {DifferenceKind::missing, DifferenceKind::extra, DifferenceKind::changed})
        CHECK(count(outcome, kind) == 1);
    for (const auto& one : outcome.differences) {
        if (one.kind != DifferenceKind::changed) continue;
        REQUIRE(one.columns.size() == 1);
        CHECK(one.key.at(0).second == "17");
        CHECK(one.columns[0].column == "v");
        CHECK(one.columns[0].source == "v17");
        CHECK(one.columns[0].target == "v17 ");
    }
}

TEST_CASE("two differences whose sums cancel out are found by their rows' hashes") {
    auto pair = equal_tables(100);
    pair.run("UPDATE t SET v = 'v' || (CASE id WHEN 3 THEN 4 ELSE 3 END) WHERE id IN (3, 4)");
    CHECK(count(pair.compare({.key = {"id"}}), DifferenceKind::changed) == 2);
}

TEST_CASE("rows that no run has read, and rows set aside, are counted apart") {
    auto pair = equal_tables(100);
    pair.run("UPDATE s SET v = 'new' WHERE id >= 90; DELETE FROM t WHERE id IN (1, 2)");
    auto outcome = pair.compare({.key = {"id"}, .set_aside = {"1\x1f"}}, "v = 'new'");
    CHECK(outcome.newer == 10);
    CHECK(outcome.set_aside == 1);
    CHECK(outcome.total() == 1);
    CHECK(outcome.differences.at(0).key.at(0).second == "2");
}

TEST_CASE("a row set aside that the source has not is extra all the same") {
    auto pair = equal_tables(10);
    pair.run("DELETE FROM s WHERE id = 1");
    CHECK(count(pair.compare({.key = {"id"}, .set_aside = {"1\x1f"}}), DifferenceKind::extra) == 1);
}

TEST_CASE("a log keeps what rows were before") {
    auto pair = equal_tables(10);
    pair.run("INSERT INTO t VALUES (1, 'before'); DELETE FROM t WHERE id = 2");
    auto outcome = pair.compare({.key = {"id"}, .earlier_versions = true});
    CHECK(outcome.earlier == 1);
    CHECK(outcome.total() == 1);
    CHECK(count(outcome, DifferenceKind::missing) == 1);
}

TEST_CASE("rows without key are told apart by all their values, and how many there are of each counts") {
    Pair pair;
    pair.run("CREATE TABLE s AS SELECT 'x' AS a, NULL::VARCHAR AS b FROM range(5); CREATE TABLE t AS FROM s LIMIT 3");
    auto outcome = pair.compare({});
    CHECK(count(outcome, DifferenceKind::missing) == 2);
    pair.run("INSERT INTO t SELECT 'x', '' FROM range(2)");
    outcome = pair.compare({});
    CHECK(count(outcome, DifferenceKind::missing) == 2);
    CHECK(count(outcome, DifferenceKind::extra) == 2);
}

TEST_CASE("all differences are counted, some are known by key, fewer are shown with their values") {
    auto pair = equal_tables(5000);
    pair.run("UPDATE t SET v = '' WHERE id < 3000");
    auto outcome = pair.compare({.key = {"id"}, .most_told = 2, .most_kept = 1000});
    CHECK(count(outcome, DifferenceKind::changed) == 3000);
    CHECK(outcome.counted_all);
    CHECK(outcome.differences.size() == 1000);
    CHECK(outcome.differences[1].columns.size() == 1);
    CHECK(outcome.differences[2].columns.empty());
}

TEST_CASE("a sample takes the same keys on both sides") {
    auto pair = equal_tables(20'000);
    auto outcome = pair.compare({.key = {"id"}, .fraction = 0.1});
    CHECK(outcome.total() == 0);
    CHECK(outcome.source.rows == outcome.target.rows);
    CHECK(outcome.source.rows > 1000);
    CHECK(outcome.source.rows < 3000);
}

TEST_CASE("rows that are to go are named as they were") {
    auto pair = equal_tables(10);
    pair.run("INSERT INTO t VALUES (11, 'a'), (12, 'b')");
    auto source = *engine::compared_table(pair.connection, "s"), target = *engine::compared_table(pair.connection, "t");
    Comparison comparison(source, target, {.key = {"id"}});
    auto outcome = comparison.run();
    REQUIRE(outcome);
    CHECK(comparison.extra_rows({}).empty());
    pair.run("UPDATE t SET v = 'it has changed since' WHERE id = 12");
    auto rows = pair.connection->query("SELECT count(*) FROM t WHERE " + comparison.extra_rows(outcome->differences));
    REQUIRE(rows);
    CHECK(rows->number(0, 0) == 1);
}

}  // namespace
}  // namespace penstock::verify
