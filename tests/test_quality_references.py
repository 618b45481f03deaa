"""Checks that compare: with runs of the past, with other tables, wherever they are; and what asking costs."""

import json

import duckdb
import pytest
from test_quality import INTO, WHOLE, make_orders, results
from test_quality_targets import warehouse  # noqa: F401 (a fixture)

LAKE = {"format": "parquet", "path": "orders/", "mode": "replace"}


def leave(database, rows: int) -> None:
    """So many, all of them new."""
    database.execute(f"DELETE FROM orders; INSERT INTO orders (id) SELECT i FROM generate_series(1, {rows}) i")


def check_of(report, name: str = "row_count") -> dict:
    return next(one for one in report.run()["tables"][0]["checks"] if one["check"] == name)


def compared(result: str) -> dict:
    (one,) = json.loads(result)["details"]["compared_with"]
    return one


# -- runs of the past -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [INTO, LAKE], ids=["duckdb", "parquet"])
def test_a_count_is_held_against_the_runs_before(target, database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, dict(target), checks=[{"row_count": {"last": 3, "within": "50%"}}])
    for rows, told in ((1000, "0 of 3 runs"), (10, "1 of 3 runs"), (100, "2 of 3 runs")):  # any will do until there are three
        leave(database, rows)
        assert told in check_of(project.load())["compared_with"]
    leave(database, 151)
    failed = project.load(expect=3)
    assert "row_count: found 151, wanted 50 to 150: within 50% of 100, the median of the last 3 runs" in failed.error["message"]
    assert check_of(failed)["published"] is False
    leave(database, 150)  # the run that failed is none to compare with
    held = project.load()
    assert check_of(held)["compared_with"] == "50 to 150: within 50% of 100, the median of the last 3 runs"
    assert "50 to 150" in project.run("runs", held.run()["run_id"]).out
    leave(database, 0)  # 10, 100 and 150 by now
    assert "found 0, wanted 50 to 150" in project.load(expect=3).error["message"]


def test_an_increment_is_held_against_increments(database, project):
    make_orders(database, 5000)
    source, into = {"table": "public.orders", "cursor": "at"}, {"table": "shop.orders", "mode": "merge", "key": ["id"]}
    project.pipeline(database, source, into, checks=[{"row_count": {"last": 2, "within": "10%", "on_fail": "warn"}}])

    def add(first: int, rows: int):
        database.execute(f"INSERT INTO orders (id, at) SELECT i, clock_timestamp() FROM generate_series({first}, {first + rows - 1}) i")
        return check_of(project.load())

    assert "0 of 2 runs" in check_of(project.load())["compared_with"]  # everything: no increment
    assert "0 of 2 runs" in add(10_000, 100)["compared_with"]
    assert "1 of 2 runs" in add(20_000, 110)["compared_with"]
    assert add(30_000, 105)["compared_with"].startswith("94.5 to 115.5: within 10% of 105")
    failed = add(40_000, 200)
    assert failed["success"] is False and failed["observed"] == 200
    # A warning lets the rows go on, so that they are what the next run is compared with; what was chosen by hand is not.
    project.load("--limit", "3", "--full-refresh")
    assert "within 10% of 152.5" in add(50_000, 150)["compared_with"]


def test_where_nothing_is_usual_anything_will_do(database, project):
    make_orders(database, 5)
    project.pipeline(database, WHOLE, dict(INTO), checks=[{"row_count": {"last": 1, "within": "50%"}}])
    leave(database, 0)
    project.load()
    leave(database, 7)
    assert "which has no shares" in check_of(project.load())["compared_with"]
    assert "3.5 to 10.5" in check_of(project.load())["compared_with"]


def test_other_figures_and_the_page(database, project):
    make_orders(database, 100)
    checks = [{"expect": {"type": "expect_column_mean_to_be_between", "column": "age", "last": 1, "within": "20%"}, "name": "usual_age", "on_fail": "warn"},
              {"row_count": {"last": 1, "within": 5, "rows": "table"}, "on_fail": "warn"}]
    project.pipeline(database, WHOLE, dict(INTO), checks=checks)
    project.load()
    mean = database.rows("SELECT avg(age)::float8 FROM orders")[0][0]
    database.execute("UPDATE orders SET age = age * 2; DELETE FROM orders WHERE id > 96")
    loaded = project.load()
    assert check_of(loaded, "usual_age")["success"] is False and check_of(loaded, "row_count")["success"] is True
    found = {check: compared(result) for check, result in results(project, '"check", result')[-2:]}
    assert found["usual_age"]["value"] == pytest.approx(mean) and found["usual_age"]["most"] == pytest.approx(mean * 1.2)
    assert found["row_count"] == {"with": "the median of the last 1 runs", "value": 100, "within": "5", "least": 95, "most": 105}
    project.run("quality", "docs", "--into", "report.html")
    assert "the median of the last 1 runs: 100, wanted 95 to 105" in (project.folder / "report.html").read_text()
    asked = project.run("quality", "run", "p").out
    assert "91 to 101: within 5 of 96" in asked and "these rows are not those of one run" in asked


# -- other tables ---------------------------------------------------------------------------------------------------------------
def test_a_count_is_held_against_another_system(database, project):
    make_orders(database, 100)
    elsewhere = duckdb.connect(project.folder / "other.duckdb")
    elsewhere.execute("CREATE SCHEMA s; CREATE TABLE s.\"odd \"\"one\"\"\" AS SELECT range AS i FROM range(104); CREATE TABLE none (i int)")
    elsewhere.close()
    others = {"other": {"type": "duckdb", "path": "other.duckdb"}}

    def load(same_as: dict, within=None, expect=0, **more):
        check = {"row_count": {"same_as": same_as, **({"within": within} if within else {}), **more}}
        project.pipeline(database, WHOLE, dict(INTO), connections=others, checks=[check])
        return project.load(expect=expect)

    source = {"connection": "shop", "table": "public.orders"}
    assert check_of(load(source))["compared_with"] == "100: the rows of public.orders in connection shop"
    failed = load({**source, "where": "id <= 98"}, expect=3)
    assert "found 100, wanted 98: the rows of public.orders where id <= 98 in connection shop" in failed.error["message"]
    load({**source, "where": "id <= 98"}, within="3%")
    odd = {"connection": "other", "table": 's.odd "one"'}
    load(odd, within=4, rows="batch")
    assert "wanted 101 to 107: within 3 of 104" in load(odd, within=3, expect=3).error["message"]
    load({"connection": "shop", "query": "SELECT sum(1.0) FROM orders"})
    load({"table": "shop.orders"})  # beside it, as the commit will leave it
    load({"query": "SELECT 50 + 50"})
    for query, why in (("SELECT i FROM none", "it has no rows"), ("SELECT 1 UNION ALL SELECT 2", "several rows"), ("SELECT 'x'", "it is x"),
                       ("SELECT NULL::int", "it is NULL"), ("SELECT 1, 2", "2 columns")):
        said = load({"connection": "other", "query": query}, expect=3).error["message"]
        assert "is not one number" in said and why in said
    missing = load({"connection": "other", "table": "s.missing"}, expect=None)
    assert missing.code != 0 and "missing" in missing.error["message"] and "penstock.yaml:" in missing.error["where"]
    assert project.duck_value("SELECT count(*) FROM shop.orders") == 100


def test_what_cannot_be_compared_is_not_as_it_should_be(database, project):
    make_orders(database, 10)
    database.execute("CREATE TABLE nothing (id int); ALTER TABLE orders ADD ratio float8; UPDATE orders SET ratio = CASE WHEN id = 3 THEN 'NaN'::float8 ELSE 1 END")
    one = {"connection": "shop", "query": "SELECT 1"}
    checks = [{"row_count": {"same_as": {"connection": "shop", "table": "public.nothing"}, "within": "1%"}, "name": "none", "on_fail": "warn"},
              {"expect": {"type": "expect_column_mean_to_be_between", "column": "ratio", "same_as": one, "within": "50%"}, "name": "no number", "on_fail": "warn"},
              {"expect": {"type": "expect_column_min_to_be_between", "column": "id", "same_as": one}, "name": "least", "on_fail": "warn"}]
    project.pipeline(database, WHOLE, dict(INTO), checks=checks)
    loaded = project.load()
    found = {name: check_of(loaded, name) for name in ("none", "no number", "least")}
    assert [one["success"] for one in found.values()] == [False, False, True]
    assert "0: the rows of public.nothing" in found["none"]["compared_with"] or "of 0" in found["none"]["compared_with"]
    kept = dict(project.duck("SELECT \"check\", result FROM penstock.validation_results"))
    assert compared(kept["no number"]) == {"not_compared": "what was found is no number"}
    with duckdb.connect(str(project.warehouse)) as warehouse:
        warehouse.execute("DROP TABLE shop.orders")
    assert "shop.orders is not there" in project.run("quality", "run", "p", expect=3).err


def test_great_expectations_other_table(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, dict(INTO))
    project.load()
    warehouse = duckdb.connect(project.warehouse)
    warehouse.execute("CREATE TABLE shop.twin AS SELECT * FROM shop.orders; CREATE TABLE shop.fewer AS SELECT * FROM shop.orders LIMIT 7")
    warehouse.close()
    suite = {"name": "s", "expectations": [{"type": "expect_table_row_count_to_equal_other_table", "kwargs": {"other_table_name": name},
                                            "severity": "warning"} for name in ("shop.twin", "shop.fewer")]}
    project.write(json.dumps(suite), "s.json")
    for rows in ("batch", "table"):
        project.pipeline(database, WHOLE, dict(INTO), checks=[{"suite": "s.json", "rows": rows}])
        project.load()
        assert [(success, json.loads(result)["observed_value"]) for success, result in results(project, "success, result")[-2:]] == [
            (True, {"self": 10, "other": 10}), (False, {"self": 10, "other": 7})]


@pytest.mark.parametrize("check, says", [
    ({"row_count": {"last": 7}}, ["`last` needs `within`", "within: 50%"]),
    ({"row_count": {"last": 7, "within": "half"}}, ["`within` is a share such as 50%, or a number, and not 'half'"]),
    ({"row_count": {"last": 7, "within": 0.5}}, ["`within` is a share", "50%"]),
    ({"row_count": {"last": 0, "within": "5%"}}, ["last"]),
    ({"row_count": {"min": 1, "within": "5%"}}, ["`within` is for `last` and `same_as`"]),
    ({"row_count": {"same_as": {"connection": "shpo", "table": "t"}}}, ["no connection 'shpo'", "did you mean 'shop'"]),
    ({"row_count": {"same_as": {"connection": "shop"}}}, ["table", "query"]),
    ({"row_count": {"same_as": {"query": "SELECT 1", "where": "x"}}}, ["`where` is for a `table`"]),
    ({"expect": {"type": "expect_column_mean_to_be_between", "column": "age", "same_as": {"tabel": "t"}}}, ["`same_as` has no 'tabel'"]),
    ({"row_count": {"same_as": {"connection": "files", "table": "t"}}}, ["connection 'files' is a files one", "no tables to compare with"])])
def test_mistakes_of_comparing_are_found_without_connecting(check, says, database, project):
    project.pipeline(database, WHOLE, dict(INTO), checks=[check], connections={"files": {"type": "files", "url": "file:lake"}})
    error = project.run("check", expect=2)
    assert all(words in error.both for words in says), error
    assert "penstock.yaml:" in error.both


# -- what asking costs ----------------------------------------------------------------------------------------------------------
TEN = 10 << 20  # the least a query bills for a table


def test_the_price_of_checks_is_known_and_left_to_them(database, project, warehouse, bigquery):  # noqa: F811
    make_orders(database, 50)
    into = {"connection": "bq", "table": "shop.orders", "mode": "merge", "key": ["id"]}
    checks = [{"unique": "email", "rows": "table"}, {"row_count": {"min": 1}, "rows": "table"},
              {"row_count": {"same_as": {"connection": "bq", "table": "shop.orders", "where": "id > 0"}}}]
    project.pipeline(database, WHOLE, dict(into), connections=warehouse.connection())
    project.load()

    def plan(**more) -> dict:
        project.pipeline(database, WHOLE, dict(into), connections=warehouse.connection(), **more)
        return project.run("plan", "--output", "json").json["pipelines"][0]["price"]

    def billed(do) -> int:
        before = bigquery.stats()["billed_bytes"]
        do()
        return bigquery.stats()["billed_bytes"] - before

    def load(budget: int, checks: list, expect: int) -> dict:
        project.pipeline(database, WHOLE, dict(into), connections=warehouse.connection(), checks=checks, budget={"max_bytes_billed": budget})
        return project.load(expect=expect)

    price, with_checks = plan(), plan(checks=checks)
    looking = billed(plan)  # at the bookkeeping
    assert billed(lambda: plan(checks=checks)) == looking
    asked = with_checks["bytes_billed"] - price["bytes_billed"]
    assert asked >= 2 * TEN and asked % TEN == 0 and with_checks["not_known"] == []
    # Less than asking takes: said before anything is read. Less than loading and asking: the load stops where asking would go short.
    refused = []
    assert billed(lambda: refused.append(load(looking + TEN - 1, checks[:1], 4))) == looking
    assert "checks of shop.orders" in refused[0].error["message"] and refused[0].error["code"] == "budget_exceeded"
    loading = billed(lambda: load(10 * asked + 100 * TEN, [], 0))
    both = billed(lambda: load(10 * asked + 100 * TEN, checks[:1], 0))
    assert both >= loading + TEN
    short = load(loading + TEN - 1, checks[:1], 4)
    assert short.run()["status"] == "stopped" and short.run()["rows_written"] == 0, short.error
    assert warehouse.value("SELECT COUNT(*) FROM penstock.pipeline_metadata") == 3
    loaded = load(10 * asked + 100 * TEN, checks, 0)
    assert [one["success"] for one in loaded.run()["tables"][0]["checks"]] == [True, True, True]
