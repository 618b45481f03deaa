"""`rejects: {connection, table}`: the pipeline's rejects under a name of their own, in the target."""

import duckdb
import pytest
from support.bigquery import Warehouse

BAD = "CREATE TABLE bad (id int PRIMARY KEY, n numeric(10,2)); INSERT INTO bad SELECT i, CASE WHEN i % 4 = 0 THEN 'NaN'::numeric ELSE i END FROM generate_series(1, 20) i"


def pipeline(table="public.bad", into="shop.bad", connection="warehouse", **more):
    return {"source": {"table": table}, "target": {"table": into, "mode": "merge", "key": ["id"]}, "on_reject": "continue",
            "rejects": {"connection": connection, "table": "ops.rejected_rows"}, **more}


def test_a_view_of_the_pipelines_own_rejects(database, project):
    database.execute(BAD + "; CREATE TABLE other AS SELECT * FROM bad; ALTER TABLE other ADD PRIMARY KEY (id)")
    other = pipeline("public.other", "shop.other")
    other.pop("rejects")
    project.pipelines(database, {"bad": pipeline(), "other": other})
    project.load("bad")
    project.load("other")
    assert project.duck_value("SELECT count(*) FROM penstock.rejects") == 10
    assert project.duck("SELECT DISTINCT pipeline, \"table\", code, replayed_at FROM ops.rejected_rows") == [("bad", "public.bad", "special_number", None)]
    assert project.duck_value("SELECT count(*) FROM ops.rejected_rows") == 5
    database.execute("UPDATE bad SET n = 1 WHERE n = 'NaN'")
    project.run("rejects", "replay", "bad")
    assert project.duck_value("SELECT count(*) FROM ops.rejected_rows WHERE replayed_at IS NOT NULL") == 5
    project.load("bad")  # as it is there already


def test_what_is_there_is_not_replaced(database, project):
    database.execute(BAD)
    with duckdb.connect(str(project.folder / "warehouse.duckdb")) as warehouse:
        warehouse.execute("CREATE SCHEMA ops; CREATE TABLE ops.rejected_rows AS SELECT 1 AS mine")
    project.pipelines(database, {"bad": pipeline()})
    refused = project.run("run", "bad", expect=None)
    assert refused.code in (1, 2) and "ops.rejected_rows is there already" in refused.err and "another `table`" in refused.err
    assert project.duck("SELECT * FROM ops.rejected_rows") == [(1,)]
    with duckdb.connect(str(project.folder / "warehouse.duckdb")) as warehouse:
        warehouse.execute("DROP TABLE ops.rejected_rows")
    project.load("bad")
    assert project.duck_value("SELECT count(*) FROM ops.rejected_rows") == 5


def test_into_bigquery(database, project, bigquery):
    warehouse = Warehouse(bigquery)
    database.execute(BAD)
    bad = pipeline(connection="bq")
    bad["target"]["connection"] = "bq"
    project.pipelines(database, {"bad": bad}, connections=warehouse.connection())
    project.load("bad")
    assert warehouse.rows("SELECT pipeline, code FROM ops.rejected_rows") == [("bad", "special_number")] * 5
    assert warehouse.client.get_table("ops.rejected_rows").table_type == "VIEW"
    project.load("bad")
    warehouse.client.delete_table("ops.rejected_rows")
    warehouse.client.query("CREATE TABLE ops.rejected_rows (mine INT64)").result()
    refused = project.run("run", "bad", expect=None)
    assert refused.code in (1, 2) and "ops.rejected_rows is there already" in refused.err
    warehouse.client.close()


@pytest.mark.parametrize("view, message", [
    ({"connection": "lake", "table": "a.b"}, "rejects cannot be in connection 'lake', for they are committed together"),
    ({"connection": "warehouse", "table": "b"}, "'b' is no name of a table in a schema or dataset"),
    ({"connection": "warehouse", "table": "{schema}.b"}, "is no name of a table in a schema or dataset")])
def test_mistakes(view, message, database, project):
    project.pipelines(database, {"bad": {**pipeline(), "rejects": view}}, connections={"lake": {"type": "files", "url": "file:lake"}})
    refused = project.run("check", expect=2)
    assert message in refused.err and "penstock.yaml:" in refused.err
