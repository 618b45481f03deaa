"""Checks: what they ask, what they make of a run, and what of them is kept."""

import datetime
import json

import pytest

ORDERS = """
    CREATE TABLE orders (id int PRIMARY KEY, email text, age int, state text, amount numeric(12,2), placed date,
                         at timestamptz NOT NULL DEFAULT now());
    INSERT INTO orders
    SELECT i, CASE WHEN i % 50 = 0 THEN NULL WHEN i % 40 = 0 THEN 'bad' ELSE 'p' || i || '@example.com' END, i % 90,
           (ARRAY['new','paid','void'])[1 + i % 3], i * 1.25, date '2024-01-01' + i % 300
    FROM generate_series(1, {rows}) i"""
WHOLE = {"table": "public.orders"}
INTO = {"table": "shop.orders", "mode": "replace"}


def make_orders(database, rows: int = 5000) -> None:
    database.execute(ORDERS.format(rows=rows))


def results(project, columns: str = '"check", success, unexpected_count') -> list[tuple]:
    return project.duck(f"SELECT {columns} FROM penstock.validation_results ORDER BY evaluated_at, rowid")


# -- verdicts and what follows ------------------------------------------------------------------------------------------------
def test_checks_that_hold_let_everything_through_and_are_on_record(database, project):
    make_orders(database)
    project.pipeline(database, WHOLE, INTO, checks=[
        {"not_null": ["id", "state"]}, {"unique": "id"}, {"unique": ["id", "state"]},
        {"accepted_values": {"column": "state", "values": ["new", "paid", "void"]}},
        {"regex": {"column": "email", "pattern": "^[^@]+@[^@]+$", "mostly": 0.95, "on_fail": "warn"}},
        {"between": {"column": "age", "min": 0, "max": 89}}, {"length": {"column": "state", "min": 3, "max": 4}},
        {"row_count": {"min": 1, "max": 5000}}, {"condition": "amount >= 0"},
        {"freshness": {"column": "at", "max_age": "1h"}},
        {"sql": "SELECT state FROM {batch} GROUP BY state HAVING count(*) > 2000"},
        {"expect": {"type": "expect_column_mean_to_be_between", "column": "age", "min_value": 40, "max_value": 50}}])
    loaded = project.load()
    assert loaded.counts() == (5000, 5000, 0, 0)
    found = results(project)
    assert len(found) == 13 and all(success for _, success, _ in found), found
    assert ("regex of email", True, 100) in found
    assert project.duck('SELECT count(*) FROM penstock.validation_results WHERE published AND run_id = ('
                        "SELECT max(run_id) FROM penstock.pipeline_metadata) AND target = 'shop.orders'") == [(13,)]
    shown = loaded.run()["tables"][0]["checks"]
    assert [(one["check"], one["success"], one["unexpected_count"]) for one in shown] == found
    said = project.run("runs", loaded.run()["run_id"]).out
    assert "regex of email" in said and "passed" in said


def test_a_check_that_fails_publishes_nothing_and_exits_with_3(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, INTO, checks=[{"row_count": {"min": 1}}])
    project.load()
    database.execute("UPDATE orders SET state = 'lost' WHERE id IN (7, 8); UPDATE orders SET age = NULL WHERE id = 9")
    project.pipeline(database, WHOLE, INTO, checks=[
        {"accepted_values": {"column": "state", "values": ["new", "paid", "void"]}}, {"not_null": "age"}, {"row_count": {"min": 1}}])
    failed = project.load(expect=3)
    run = failed.run()
    assert run["status"] == "failed" and run["error"]["code"] == "check_failed"
    assert "2 checks of public.orders failed" in run["error"]["message"] and '"lost"' in run["error"]["message"]
    assert "2 of 100 rows" in run["error"]["message"] and "penstock.yaml:" in run["error"]["where"]
    assert "nothing was published" in run["error"]["hint"]
    assert project.duck_value("SELECT count(*) FROM shop.orders WHERE state = 'lost' OR age IS NULL") == 0
    assert project.duck_value("SELECT count(*) FROM penstock.pipeline_metadata") == 1
    assert results(project, '"check", success, unexpected_count, published') == [
        ("row_count", True, 0, True), ("accepted_values of state", False, 2, False), ("not_null of age", False, 1, False),
        ("row_count", True, 0, False)]
    shown = project.run("runs", run["run_id"], "--output", "json").json["runs"][0]["tables"][0]["checks"]
    assert [(one["check"], one["success"], one["published"]) for one in shown] == [
        ("accepted_values of state", False, False), ("not_null of age", False, False), ("row_count", True, False)]
    assert project.duck("SELECT unexpected_sample FROM penstock.validation_results WHERE NOT success ORDER BY rowid") == [
        ('["lost","lost"]',), ("[null]",)]


def test_a_first_run_that_fails_leaves_its_results_and_no_table(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, INTO, checks=[{"row_count": {"min": 11}}])
    project.load(expect=3)
    assert results(project, '"check", success, observed') == [("row_count", False, "10")]
    assert project.duck("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'shop'") == []


def test_rows_at_fault_become_rejects_and_the_others_go_on(database, project):
    make_orders(database)
    database.execute("UPDATE orders SET age = -1, state = 'lost' WHERE id = 3000")
    project.pipeline(database, WHOLE, INTO, checks=[
        {"regex": {"column": "email", "pattern": "@"}, "on_fail": "reject"},
        {"between": {"column": "age", "min": 0}, "on_fail": "reject", "name": "no_negative_age"},
        {"accepted_values": {"column": "state", "values": ["new", "paid", "void"], "on_fail": "reject"}}])
    bad = {row[0] for row in database.rows("SELECT id FROM orders WHERE email = 'bad' OR age < 0")}
    assert project.load().counts() == (5000, 5000 - len(bad), len(bad), 0)
    rejects = {json.loads(reject["key"])["id"]: reject for reject in project.rejects()}
    assert set(rejects) == bad
    assert rejects[3000]["reason"] == "check accepted_values of state; check no_negative_age"
    assert rejects[3000]["code"] == "check_failed" and json.loads(rejects[3000]["payload"])["state"] == "lost"
    assert rejects[40]["column"] == "email" and rejects[40]["reason"] == "check regex of email"
    assert project.duck_value("SELECT count(*) FROM shop.orders WHERE email = 'bad' OR age < 0") == 0
    database.execute("UPDATE orders SET age = 1, state = 'new' WHERE id = 3000; UPDATE orders SET email = 'a@b' WHERE id = 40")
    project.run("rejects", "replay", "p")
    assert project.duck("SELECT id FROM shop.orders WHERE id IN (3000, 40, 80) ORDER BY id") == [(40,), (3000,)]


def test_a_reject_behind_a_step_is_replayed_only_by_a_key_that_no_step_has_changed(database, project):
    """What is recorded of it is the row as the steps left it: read as the source's, it would go through them twice."""
    database.execute("CREATE TABLE loose (a int); INSERT INTO loose VALUES (1), (2), (30);"
                     "CREATE TABLE keyed (id int PRIMARY KEY, b int, a int); INSERT INTO keyed VALUES (1, 1, 1), (2, 2, 2), (3, 3, 30)")
    low = [{"between": {"column": "a", "max": 20}, "on_fail": "reject"}]
    project.pipeline(database, {"table": "public.loose"}, {"table": "shop.loose", "mode": "append"}, steps=[{"sql": "SELECT a + 1 AS a FROM batch"}], checks=low)
    assert project.load().counts() == (3, 2, 1, 0)
    name = project.duck("SELECT DISTINCT pipeline FROM penstock.rejects")[0][0]
    refused = project.run("rejects", "replay", name, expect=2)
    assert "step 'sql' has been over it" in refused.both
    assert project.duck("SELECT a FROM shop.loose ORDER BY a") == [(2,), (3,)]
    project.run("rejects", "discard", name)
    project.pipeline(database, {"table": "public.keyed"}, {"table": "shop.keyed", "mode": "merge", "key": ["id"]},
                     steps=[{"mask": {"columns": ["b"], "with": "nullify"}}], checks=low)
    assert project.load().counts() == (3, 2, 1, 0)
    database.execute("UPDATE keyed SET a = 15 WHERE a = 30")
    assert "1 read again, 1 written" in project.run("rejects", "replay", name).out
    assert project.duck("SELECT id, b, a FROM shop.keyed ORDER BY id") == [(1, None, 1), (2, None, 2), (3, None, 15)]


def test_duplicates_within_a_batch_are_rejected_all_of_them(database, project):
    database.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1,'x'),(1,'x'),(2,NULL),(2,NULL),(3,'y'),(NULL,NULL),(NULL,NULL)")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"},
                     checks=[{"unique": ["a", "b"], "on_fail": "reject"}])
    assert project.load().counts() == (7, 3, 4, 0)
    assert project.duck("SELECT a FROM shop.t ORDER BY a NULLS LAST") == [(3,), (None,), (None,)]


def test_a_warning_is_said_and_recorded(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, INTO, checks=[{"not_null": "email", "severity": "warning"},
                                                    {"row_count": {"min": 1000, "on_fail": "warn"}}])
    loaded = project.load()
    assert loaded.counts() == (100, 100, 0, 0)
    assert "not_null of email: 2 of 100 rows (2%)" in loaded.output.err and "row_count: found 100" in loaded.output.err
    assert results(project) == [("not_null of email", False, 2), ("row_count", False, 0)]


def test_mostly_is_a_share_of_the_rows_with_a_value(database, project):
    make_orders(database, 1000)  # 20 without an email; 20 of the 980 others are bad: 97.96% are good
    for mostly, code in ((0.979, 0), (0.98, 3)):
        project.pipeline(database, WHOLE, INTO, checks=[{"regex": {"column": "email", "pattern": "@"}, "mostly": mostly}])
        project.load(expect=code)


def test_checks_see_rows_as_steps_leave_them(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, INTO, steps=[{"rename": {"state": "status"}}, {"sql": "SELECT *, upper(status) AS loud FROM batch"}],
                     checks=[{"accepted_values": {"column": "loud", "values": ["NEW", "PAID", "VOID"]}}, {"not_null": "status"}])
    assert project.load().counts() == (100, 100, 0, 0)


def test_checks_for_some_tables(database, project):
    make_orders(database, 10)
    database.execute("CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1)")
    project.pipeline(database, {"tables": ["public.*"]}, {"dataset": "shop", "mode": "replace"},
                     checks=[{"not_null": "state", "tables": "public.orders"}, {"row_count": {"min": 1}}])
    project.load()
    assert sorted(results(project, '"table", "check"')) == [
        ("public.notes", "row_count"), ("public.orders", "not_null of state"), ("public.orders", "row_count")]


def test_what_is_asked_of_the_whole_table_is_asked_before_the_commit(database, project):
    make_orders(database, 100)
    source, into = {"table": "public.orders", "cursor": "at"}, {"table": "shop.orders", "mode": "append"}
    checks = [{"unique": "email", "rows": "table"}, {"row_count": {"max": 105}, "rows": "table"}, {"row_count": {"max": 100}}]
    project.pipeline(database, source, into, checks=checks)
    database.execute("UPDATE orders SET email = NULL WHERE email = 'bad'")
    project.load()
    database.execute("INSERT INTO orders (id, email) VALUES (1001, 'p1@example.com')")
    failed = project.load(expect=3).run()
    assert "unique of email: 2 of 101 rows" in failed["error"]["message"]
    assert project.duck_value("SELECT count(*) FROM shop.orders") == 100
    database.execute("UPDATE orders SET email = 'p1001@example.com', at = clock_timestamp() WHERE id = 1001")
    project.load()
    assert project.duck_value("SELECT count(*) FROM shop.orders") == 101


def test_old_data_is_not_fresh(database, project):
    make_orders(database, 10)
    database.execute("UPDATE orders SET at = now() - interval '3 hours'")
    project.pipeline(database, WHOLE, INTO, checks=[{"freshness": {"column": "at", "max_age": "2h"}}])
    assert "freshness of at: found" in project.load(expect=3).run()["error"]["message"]
    project.pipeline(database, WHOLE, INTO, checks=[{"freshness": {"column": "at", "max_age": "4h"}}])
    project.load()


def test_parquet_has_the_same_verdicts(database, project):
    make_orders(database, 100)
    into = {"format": "parquet", "path": "orders/", "mode": "replace"}
    project.pipeline(database, WHOLE, into, checks=[{"not_null": "email"}])
    failed = project.load(expect=3).run()
    assert "not_null of email: 2 of 100 rows" in failed["error"]["message"]
    assert failed["tables"][0]["checks"][0]["unexpected_count"] == 2
    assert not list(project.folder.rglob("orders/*.parquet"))
    project.pipeline(database, WHOLE, into, checks=[{"not_null": "email", "on_fail": "reject"}])
    assert project.load().counts() == (100, 98, 2, 0)


# -- mistakes -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("check, says", [
    ({"not_null": "emial"}, ["no column 'emial'", "did you mean 'email'", "its columns: id"]),
    ({"condition": "amuont > 0"}, ["the check `condition amuont > 0` cannot be asked", "amuont"]),
    ({"regex": {"column": "email", "pattern": "(?=x)"}}, ["cannot be asked", "perl operator"]),
    ({"between": {"column": "age", "min": "many"}}, ["expected a number, found 'many'"]),
    ({"between": {"column": "placed", "min": "yesterday"}}, ["cannot be asked", "yesterday"]),
    ({"sql": "SELECT 1"}, ["does not say {batch}"]),
    ({"expect": {"type": "expect_column_kl_divergence_to_be_less_than", "column": "age", "threshold": 1,
                 "partition_object": {"bins": [1, 2, 2], "weights": [0.5, 0.5]}}}, ["rising `bins`"]),
    ({"expect": {"type": "expect_column_values_to_be_unique", "column": "age", "row_condition": 'col("aeg") > 1'}},
     ["no column 'aeg'", "did you mean 'age'"]),
    ({"not_null": "id", "tables": "public.nothing"}, ["no table 'public.nothing'", "its tables: public.orders"]),
    ({"expect": {"type": "expect_column_mean_to_be_between", "column": "state", "min_value": 1}}, ["a column of numbers"])])
def test_what_cannot_be_asked_is_refused_before_anything_is_read(check, says, database, project):
    make_orders(database, 3)
    project.pipeline(database, WHOLE, INTO, checks=[check])
    error = project.load(expect=2).run()["error"]
    text = error["message"] + error["where"] + error["hint"]
    assert all(words in text for words in says), text
    assert "penstock.yaml:" in error["where"]


@pytest.mark.parametrize("check, says", [
    ({"expect": {"type": "expect_column_values_to_be_unqiue", "column": "id"}}, ["did you mean 'expect_column_values_to_be_unique'"]),
    ({"expect": {"type": "expect_column_kl_divergence_to_be_less_than", "column": "id"}}, ["needs `partition_object`"]),
    ({"expect": {"type": "expect_column_values_to_not_be_outliers", "column": "id"}}, ["is not available: use expect_column_value_z_scores"]),
    ({"expect": {"type": "expect_column_values_to_be_unique", "colunm": "id"}}, ["no argument 'colunm'", "did you mean 'column'"]),
    ({"expect": {"type": "expect_column_values_to_be_between", "column": "id"}}, ["needs `min_value`, `max_value` or both"]),
    ({"expect": {"column": "id"}}, ["needs the `type`"]),
    ({"row_count": {"min": 1}, "on_fail": "reject"}, ["not about single rows", "stop or warn"]),
    ({"not_null": "id", "rows": "table", "on_fail": "reject"}, ["cannot become rejects"]),
    ({"row_count": {"min": 1}, "mostly": 0.5}, ["`mostly` is for checks of rows"]),
    ({"suite": "nowhere.json"}, ["nowhere.json"])])
def test_mistakes_are_found_without_connecting(check, says, database, project):
    project.pipeline(database, WHOLE, INTO, checks=[check])
    error = project.run("check", expect=2)
    assert all(words in error.both for words in says), error
    assert "penstock.yaml:" in error.both
