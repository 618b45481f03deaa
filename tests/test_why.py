"""`penstock why`: where a row came from, and why one is not there."""

import duckdb
import pytest

MERGE = {"table": "shop.orders", "mode": "merge", "key": ["id"]}
SOURCE = {"table": "public.orders", "cursor": "updated_at", "where": "NOT hidden"}


def why(project, *key, expect=0, table="shop.orders"):
    return project.run("why", table, *key, "--output", "json", expect=expect).json


@pytest.fixture
def orders(database, project):
    database.execute("""
        CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric, hidden boolean NOT NULL DEFAULT false, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
        INSERT INTO orders SELECT i, 'c' || i, i FROM generate_series(1, 100) i""")
    project.pipeline(database, SOURCE, MERGE, on_reject="continue", checks=[{"not_null": ["customer"]}])
    project.load()
    return database


def test_a_row_and_the_run_that_brought_it(orders, project):
    first, = project.duck("SELECT run_id FROM penstock.pipeline_metadata")[0]
    orders.execute("UPDATE orders SET customer = 'moved', updated_at = clock_timestamp() WHERE id = 7")
    project.load()
    row = why(project, "id=7")
    assert row["verdict"] == "the target has it as the source has it now"
    assert row["brought_by"]["batch"] == "2" and row["brought_by"]["run_id"] != first
    assert row["brought_by"]["cursor_to"] == row["cursor"] == row["rows"][0]["updated_at"]
    assert row["rows"][0]["customer"] == "moved" == row["at_source"]["customer"] and row["schema_version"] == 1
    assert [(check["check"], check["success"]) for check in row["checks"]] == [("not_null of customer", True)], row["checks"]
    assert why(project, "id=8")["brought_by"]["run_id"] == first
    text = project.run("why", "shop.orders", "id=7").out
    assert "brought by   run " in text and "customer" in text and "moved" in text


def test_why_a_row_is_not_there(orders, project):
    orders.execute("INSERT INTO orders VALUES (201, 'newer', 1)")
    orders.execute("INSERT INTO orders VALUES (202, 'hidden', 1, true)")
    assert "newer than the checkpoint" in why(project, "id=201")["verdict"]
    orders.execute("INSERT INTO orders VALUES (203, 'bad', 'NaN')")
    project.load()
    assert "`where` leaves it out" in why(project, "id=202")["verdict"]
    rejected = why(project, "id=203")
    assert rejected["verdict"] == "the target does not have it: it was rejected"
    assert rejected["rejects"][0]["state"] == "open" and rejected["rejects"][0]["column"] == "amount"
    assert why(project, "id=999")["verdict"] == "neither side has it"
    with duckdb.connect(str(project.warehouse)) as warehouse:
        warehouse.execute("DELETE FROM shop.orders WHERE id = 3")
    assert "penstock verify p --repair" in why(project, "id=3")["verdict"]


def test_why_a_row_is_what_it_is_not(orders, project):
    orders.execute("UPDATE orders SET customer = 'later', updated_at = clock_timestamp() WHERE id = 4")
    orders.execute("DELETE FROM orders WHERE id = 5")
    assert "as it was: the source changed it since" in why(project, "id=4")["verdict"]
    assert why(project, "id=5")["verdict"] == "the target has it, and the source has it no more"
    with duckdb.connect(str(project.warehouse)) as warehouse:
        warehouse.execute("UPDATE shop.orders SET customer = 'x' WHERE id = 6")
    row = why(project, "id=6")
    assert row["verdict"] == "the target has it, and the source has something else in customer" and row["differs"] == "customer"


def test_the_versions_of_a_history(orders, project):
    project.pipeline(orders, {"table": "public.orders", "cursor": "updated_at"}, {**MERGE, "table": "shop.h", "mode": "history"})
    project.load()
    orders.execute("UPDATE orders SET customer = 'moved', updated_at = clock_timestamp() WHERE id = 7")
    project.load()
    row = why(project, "id=7", table="shop.h")
    assert [one["customer"] for one in row["rows"]] == ["c7", "moved"] and row["verdict"] == "the target has it as the source has it now"
    assert "2 rows of the target have this key" in project.run("why", "shop.h", "id=7").out


def test_questions_that_cannot_be_answered(orders, project):
    assert "did you mean 'shop.orders'" in project.run("why", "shop.order", "id=1", expect=2).both
    assert "did you mean 'customer'" in project.run("why", "shop.orders", "custmer=1", expect=2).both
    assert "is no COLUMN=VALUE" in project.run("why", "shop.orders", "7", expect=2).both
    assert "KEY" in project.run("why", "shop.orders", expect=2).both
