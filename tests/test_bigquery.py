"""Batch loads into BigQuery (the strict stand-in of servers/bigquery), read back with Google's client."""

import json
import re
import signal
import time

import pytest
from dateutil.relativedelta import relativedelta

from support.bigquery import Warehouse
from support.shop import INCREMENT, PG_ROW, WHOLE, add_orders, assert_equal_rows, make_orders, source_rows

MERGE = {"connection": "bq", "table": "shop.orders", "mode": "merge", "key": ["id"]}
APPEND = {"connection": "bq", "table": "shop.orders", "mode": "append"}
REPLACE = {"connection": "bq", "table": "shop.orders", "mode": "replace"}
HISTORY = {"connection": "bq", "table": "shop.orders", "mode": "history", "key": ["id"]}


@pytest.fixture
def warehouse(bigquery):
    made = Warehouse(bigquery)
    yield made
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    made.client.close()


def orders_of(database) -> list[tuple]:
    """As the warehouse shows them: BigQuery writes JSON without blanks."""
    return [(*row[:5], row[5] and json.dumps(json.loads(row[5]), separators=(",", ":"))) for row in source_rows(database)]


def configure(project, database, warehouse, source, target, connection=None, **rest):
    project.pipeline(database, dict(source), dict(target), connections=warehouse.connection(**(connection or {})), **rest)


# -- modes ------------------------------------------------------------------------------------------------------------
def test_append_adds_the_whole_table_each_time_when_there_is_no_cursor(database, project, warehouse):
    make_orders(database, 300)
    configure(project, database, warehouse, WHOLE, APPEND)
    assert project.load().counts() == (300, 300, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert project.load().counts() == (300, 300, 0, 0)
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders") == 600
    assert warehouse.batches() == [(1, 300, 300, 0, 0), (2, 300, 300, 0, 0)]
    assert not warehouse.staging()


def test_append_recognises_rows_that_come_again(database, project, warehouse):
    """Of a view nothing tells which rows are new: the last minutes are read again, and compared."""
    make_orders(database, 100)
    database.execute("UPDATE orders SET updated_at = '2029-01-01'; CREATE VIEW all_orders AS SELECT customer, updated_at, note FROM orders;"
                     "INSERT INTO orders (customer, updated_at) SELECT 'twin', '2030-01-01' FROM generate_series(1, 3)")
    configure(project, database, warehouse, {"table": "public.all_orders", "cursor": "updated_at", "cursor_lag": "5m"}, APPEND)
    assert project.load().counts() == (103, 103, 0, 0)
    database.execute("INSERT INTO orders (customer, updated_at) SELECT 'twin', '2030-01-01' FROM generate_series(1, 2)")
    read, written, rejected, filtered = project.load().counts()
    assert (written, rejected) == (2, 0) and filtered >= 3
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders WHERE customer = 'twin'") == 5


def test_replace_leaves_exactly_the_source(database, project, warehouse):
    make_orders(database, 300)
    configure(project, database, warehouse, WHOLE, REPLACE)
    project.load()
    database.execute("DELETE FROM orders WHERE id % 2 = 0; UPDATE orders SET status = 'x' WHERE id % 5 = 0")
    assert project.load().counts() == (150, 150, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())
    database.execute("TRUNCATE orders")
    assert project.load().counts() == (0, 0, 0, 0)
    assert warehouse.orders() == []


def test_merge_inserts_and_updates_and_never_deletes(database, project, warehouse):
    make_orders(database, 300)
    configure(project, database, warehouse, INCREMENT, MERGE)
    assert project.load().counts() == (300, 300, 0, 0)
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp() WHERE id <= 10")
    database.execute("DELETE FROM orders WHERE id = 200")
    add_orders(database, 20)
    assert 30 <= project.load().run()["rows_read"] <= 31
    stored = warehouse.orders()
    assert len(stored) == 320
    assert_equal_rows(orders_of(database), [row for row in stored if row[0] != 200])
    table = warehouse.client.get_table("shop.orders")
    assert table.clustering_fields == ["id"] and table.table_constraints.primary_key.columns == ["id"]


def test_update_when_decides_what_is_overwritten(database, project, warehouse):
    make_orders(database, 100)
    configure(project, database, warehouse, INCREMENT, {**MERGE, "update_when": "S.amount > T.amount"})
    project.load()
    database.execute("UPDATE orders SET updated_at = clock_timestamp(), status = 'touched',"
                     " amount = amount + CASE WHEN id <= 10 THEN 1 ELSE -1 END WHERE id <= 30")
    read, written, rejected, filtered = project.load().counts()
    assert filtered in (20, 21) and written == 10 and rejected == 0 and read == filtered + written
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders WHERE status = 'touched'") == 10


def test_history_keeps_every_version_without_gaps(database, project, warehouse):
    make_orders(database, 60)
    configure(project, database, warehouse, INCREMENT, HISTORY)
    project.load()
    for change in range(2):
        database.execute(f"UPDATE orders SET status = 'v{change}', updated_at = clock_timestamp() WHERE id <= 10")
        project.load()
    assert_equal_rows(orders_of(database), warehouse.orders("_penstock_valid_to IS NULL"))
    versions = warehouse.rows("SELECT id, UNIX_MICROS(_penstock_valid_from), UNIX_MICROS(_penstock_valid_to), status"
                              " FROM shop.orders ORDER BY 1, 2")
    assert len(versions) == 60 + 2 * 10
    for before, after in zip(versions, versions[1:]):
        if before[0] == after[0]:
            assert before[1] < before[2] == after[1], f"versions overlap or leave a gap: {before} {after}"
        else:
            assert before[2] is None
    assert [row[3] for row in versions if row[0] == 1][1:] == ["v0", "v1"]


def test_history_opens_no_version_for_a_row_that_did_not_change(database, project, warehouse):
    make_orders(database, 50)
    configure(project, database, warehouse, WHOLE, HISTORY)
    project.load()
    assert project.load().counts() == (50, 0, 0, 50)
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders") == 50


def test_an_increment_without_rows_bills_no_merge(database, project, warehouse):
    make_orders(database, 20)
    database.execute("CREATE VIEW shown AS SELECT * FROM orders WHERE status IS DISTINCT FROM 'hidden'")
    configure(project, database, warehouse, {"table": "public.shown", "cursor": "id"}, MERGE)
    project.load()
    database.execute("UPDATE orders SET status = 'hidden'")
    assert project.load().counts() == (0, 0, 0, 0)
    assert not [job for job in warehouse.client.list_jobs() if job.job_type == "query" and "MERGE INTO" in job.query]
    assert [batch for batch, *_ in warehouse.batches()] == [1, 2] and len(warehouse.orders()) == 20


def test_a_full_refresh_starts_over(database, project, warehouse):
    make_orders(database, 50)
    configure(project, database, warehouse, INCREMENT, MERGE)
    project.load()
    database.execute("DELETE FROM orders WHERE id > 20")
    assert project.load("--full-refresh").counts() == (20, 20, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())


# -- tables -----------------------------------------------------------------------------------------------------------
def test_partitioning_clustering_and_what_a_merge_reads(database, project, warehouse):
    database.execute("CREATE TABLE visits (day date, page int, hits int, PRIMARY KEY (day, page));"
                     "INSERT INTO visits SELECT '2024-01-01'::date + i / 10, i % 10, i FROM generate_series(0, 299) i")
    configure(project, database, warehouse, {"table": "public.visits"},
              {"connection": "bq", "table": "shop.visits", "mode": "merge", "partition_by": "day", "cluster_by": ["page"]})
    project.load()
    table = warehouse.client.get_table("shop.visits")
    assert (table.time_partitioning.field, table.time_partitioning.type_, table.clustering_fields) == ("day", "DAY", ["page"])
    database.execute("DELETE FROM visits WHERE day < '2024-01-30'; UPDATE visits SET hits = -hits")
    assert project.load().counts() == (10, 10, 0, 0)
    merges = [job.query for job in warehouse.client.list_jobs(all_users=True) if job.job_type == "query" and "MERGE INTO" in job.query]
    assert merges and all("BETWEEN DATE '2024-01-30' AND DATE '2024-01-30'" in sql for sql in merges)
    assert warehouse.value("SELECT COUNTIF(hits < 0) FROM shop.visits") == 10
    assert warehouse.value("SELECT COUNT(*) FROM shop.visits") == 300


def test_more_partitions_than_one_job_may_change(database, project, warehouse):
    database.execute("CREATE TABLE days (day date PRIMARY KEY, v int); INSERT INTO days SELECT '2000-01-01'::date + i, i FROM generate_series(0, 4999) i")
    configure(project, database, warehouse, {"table": "public.days"},
              {"connection": "bq", "table": "shop.days", "mode": "merge", "partition_by": "day"})
    assert project.load().counts() == (5000, 5000, 0, 0)
    database.execute("UPDATE days SET v = -v")
    assert project.load().counts() == (5000, 5000, 0, 0)
    assert warehouse.rows("SELECT COUNT(*), SUM(v) FROM shop.days") == database.rows("SELECT count(*), sum(v) FROM days")


def test_columns_are_added_widened_and_renamed(database, project, warehouse):
    make_orders(database, 20)
    configure(project, database, warehouse, INCREMENT, MERGE)
    project.load()
    database.execute("ALTER TABLE orders ADD COLUMN extra text; ALTER TABLE orders RENAME COLUMN status TO state;"
                     "ALTER TABLE orders ADD COLUMN region text DEFAULT 'north';"
                     "UPDATE orders SET extra = 'e', updated_at = clock_timestamp() WHERE id = 1")
    project.load()
    assert warehouse.rows("SELECT id, state, extra, region FROM shop.orders ORDER BY id") == database.rows(
        "SELECT id, state, extra, region FROM orders ORDER BY id")
    changes = warehouse.rows("SELECT change, `column` FROM penstock.schema_registry WHERE version > 1 ORDER BY 1, 2")
    assert changes == [("column_added", "extra"), ("column_added", "region"), ("column_renamed", "state")]


def test_an_incompatible_type_gets_a_column_of_its_own(database, project, warehouse):
    make_orders(database, 20)
    configure(project, database, warehouse, INCREMENT, MERGE)
    project.load()
    database.execute("ALTER TABLE orders ALTER COLUMN customer TYPE int USING 7; UPDATE orders SET updated_at = clock_timestamp()")
    project.load()
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders WHERE customer__v2 = 7") == 20


# -- values -----------------------------------------------------------------------------------------------------------
def test_values_of_every_kind(database, project, warehouse):
    database.execute("""
        CREATE TYPE pair AS (a int, b text);
        CREATE TABLE kinds (id int PRIMARY KEY, b bool, s smallint, i int, l bigint, r real, d double precision, n numeric(38,9),
          w numeric(38,20), t text, y bytea, u uuid, j jsonb, dt date, tm time, ts timestamp, tz timestamptz, iv interval,
          ints int[], texts text[], deep int[][], p pair, ps pair[], js jsonb[], x xid8);
        INSERT INTO kinds VALUES (1, true, -32768, 2147483647, 9223372036854775807, 'NaN', '-Infinity',
          99999999999999999999999999999.999999999, 999999999999999999.99999999999999999999, E'ä\\n''"\\\\', '\\x00ff', gen_random_uuid(),
          '{"a": [1, 2.5, "x"]}', '0001-01-01', '23:59:59.999999', '9999-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00',
          '-1 year -2 mons +3 days -04:05:06.000007', '{1,2,3}', '{a,"b c"}', '{{1,2},{3,4}}', '(1,x)', '{"(1,x)","(2,)"}',
          ARRAY['{"k": 1}'::jsonb], '9223372036854775807');
        INSERT INTO kinds (id) VALUES (2)""")
    configure(project, database, warehouse, {"table": "public.kinds"}, {"connection": "bq", "table": "shop.kinds", "mode": "replace"})
    assert project.load().counts() == (2, 2, 0, 0)
    row = next(iter(warehouse.client.query("SELECT * EXCEPT (u, j, js, iv, deep), TO_JSON_STRING(j) AS j, TO_JSON_STRING(js[0]) AS js, iv, TO_JSON_STRING(deep) AS deep FROM shop.kinds WHERE id = 1").result()))
    assert (row["b"], row["s"], row["i"], row["l"]) == (True, -32768, 2147483647, 9223372036854775807)
    assert row["r"] != row["r"] and row["d"] == float("-inf")
    assert (str(row["n"]), str(row["w"])) == ("99999999999999999999999999999.999999999", "999999999999999999.99999999999999999999")
    assert (row["t"], row["y"]) == ("ä\n'\"\\", b"\x00\xff")
    assert (str(row["dt"]), str(row["tm"]), str(row["ts"])) == ("0001-01-01", "23:59:59.999999", "9999-12-31 23:59:59.999999")
    assert row["tz"].isoformat() == "1969-12-31T23:59:59.999999+00:00"
    assert (row["ints"], row["texts"], row["x"]) == ([1, 2, 3], ["a", "b c"], 9223372036854775807)
    assert (row["p"], row["ps"]) == ({"a": 1, "b": "x"}, [{"a": 1, "b": "x"}, {"a": 2, "b": None}])
    assert (row["j"], row["js"], row["deep"]) == ('{"a":[1,2.5,"x"]}', '{"k":1}', "[[1,2],[3,4]]")
    assert row["iv"] == relativedelta(years=-1, months=-2, days=3, hours=-4, minutes=-5, seconds=-6, microseconds=-7)
    types = {field.name: (field.field_type, field.mode) for field in warehouse.client.get_table("shop.kinds").schema}
    assert types["n"][0] == "NUMERIC" and types["w"][0] == "BIGNUMERIC" and types["ts"][0] == "DATETIME" and types["tz"][0] == "TIMESTAMP"
    assert types["ints"] == ("INTEGER", "REPEATED") and types["p"][0] == "RECORD" and types["j"][0] == "JSON" and types["iv"][0] == "INTERVAL"


def test_values_that_bigquery_cannot_hold_are_rejected_with_their_reason(database, project, warehouse):
    database.execute("""
        CREATE TABLE odd (id int PRIMARY KEY, d date, ts timestamp, j jsonb, a int[], x xid8);
        INSERT INTO odd VALUES (1, '2024-01-01', '2024-01-01', '{"n": 1.5}', '{1}', '1'), (2, '10000-01-01', null, null, null, null),
          (3, null, '0001-12-31 BC', null, null, null), (4, null, null, '{"n": 12345678901234567890123}', null, null),
          (5, null, null, null, '{1,NULL}', null), (6, null, null, null, null, '9223372036854775808'),
          (7, null, null, '{"s": "12345678901234567890123"}', '{}', null), (8, 'infinity', null, null, null, null)""")
    configure(project, database, warehouse, {"table": "public.odd"}, {"connection": "bq", "table": "shop.odd", "mode": "append"},
              on_reject="continue")
    assert project.load().counts() == (8, 2, 6, 0)
    assert warehouse.rows("SELECT id FROM shop.odd ORDER BY id") == [(1,), (7,)]
    rejects = {json.loads(key)["id"]: (column, code) for key, column, code in warehouse.rows(
        "SELECT `key`, `column`, code FROM penstock.rejects")}
    assert {int(key): value for key, value in rejects.items() if int(key) != 8} == {
        2: ("d", "date_out_of_range"), 3: ("ts", "date_out_of_range"), 4: ("j", "wide_json_number"), 5: ("a", "array_null"),
        6: ("x", "number_out_of_range")}
    listed = json.loads(project.run("rejects", "list", "--output", "json").out)
    assert len(listed["rejects"] if isinstance(listed, dict) else listed) == 6


def test_a_reject_stops_the_run_before_anything_is_written(database, project, warehouse):
    database.execute("CREATE TABLE odd (id int PRIMARY KEY, d date); INSERT INTO odd VALUES (1, '10000-01-01'), (2, '2024-01-01')")
    configure(project, database, warehouse, {"table": "public.odd"}, {"connection": "bq", "table": "shop.odd", "mode": "append"})
    report = project.load(expect=1)
    assert "10000-01-01" in json.dumps(report.error)
    assert warehouse.value("SELECT COUNT(*) FROM shop.odd") == 0
    assert not warehouse.staging()


def test_rejects_are_replayed(database, project, warehouse):
    database.execute("CREATE TABLE odd (id int PRIMARY KEY, d date); INSERT INTO odd VALUES (1, '2024-01-01'), (2, '10000-01-01')")
    configure(project, database, warehouse, {"table": "public.odd"}, {"connection": "bq", "table": "shop.odd", "mode": "merge"}, on_reject="continue")
    assert project.load().counts() == (2, 1, 1, 0)
    database.execute("UPDATE odd SET d = '2024-02-02' WHERE id = 2")
    project.run("rejects", "replay", "p")
    assert [(id, str(d)) for id, d in warehouse.rows("SELECT id, d FROM shop.odd ORDER BY id")] == [(1, "2024-01-01"), (2, "2024-02-02")]
    assert warehouse.rows("SELECT COUNT(*), COUNTIF(replayed_at IS NOT NULL) FROM penstock.rejects") == [(1, 1)]
    assert not warehouse.staging()


def test_a_dataset_in_another_place_is_told(database, project, warehouse):
    make_orders(database, 5)
    configure(project, database, warehouse, WHOLE, REPLACE)
    project.load()
    configure(project, database, warehouse, WHOLE, REPLACE, {"location": "EU"})
    report = project.load(expect=2)
    assert report.error["code"] == "dataset_elsewhere" and "location: US" in report.error["hint"]


def test_keys_that_are_not_unique(database, project, warehouse):
    database.execute("""
        CREATE TABLE pets (name text, kind text, seen timestamptz);
        INSERT INTO pets VALUES ('a', 'cat', '2024-01-01'), ('a', 'dog', '2024-01-02'), ('b', 'cat', '2024-01-01'), ('b', 'cat', '2024-01-01'),
          ('c', 'cat', '2024-01-01'), ('c', 'dog', '2024-01-01'), (NULL, 'cat', '2024-01-01')""")
    configure(project, database, warehouse, {"table": "public.pets", "cursor": "seen"},
              {"connection": "bq", "table": "shop.pets", "mode": "merge", "key": ["name"]}, on_reject="continue")
    assert project.load().counts() == (7, 2, 3, 2)
    assert warehouse.rows("SELECT name, kind FROM shop.pets ORDER BY 1") == [("a", "dog"), ("b", "cat")]
    assert warehouse.rows("SELECT code, COUNT(*) FROM penstock.rejects GROUP BY 1 ORDER BY 1") == [("duplicate_key", 2), ("null_key", 1)]


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_keys_that_are_nan_or_minus_zero(mode, database, project, warehouse):
    """PostgreSQL's NaN is itself and its -0 is 0; for BigQuery a NaN is not even itself."""
    database.execute("CREATE TABLE levels (level float8 PRIMARY KEY, note text, at timestamptz DEFAULT clock_timestamp());"
                     "INSERT INTO levels VALUES ('NaN', 'a'), ('0', 'a'), ('0.1', 'a'), ('-Infinity', 'a')")
    configure(project, database, warehouse, {"table": "public.levels", "cursor": "at"}, {"connection": "bq", "table": "shop.levels", "mode": mode, "key": ["level"]})
    project.load()
    for note in ("b", "c"):
        database.execute("UPDATE levels SET level = CASE level WHEN 0 THEN -level ELSE level END, note = %s, at = clock_timestamp()", [note])
        project.load()
    now = "TRUE" if mode == "merge" else "_penstock_valid_to IS NULL"
    assert sorted(warehouse.rows(f"SELECT CAST(level + 0 AS STRING), note FROM shop.levels WHERE {now}")) == [
        ("-inf", "c"), ("0", "c"), ("0.1", "c"), ("nan", "c")]
    assert warehouse.value("SELECT COUNT(*) FROM shop.levels") == (4 if mode == "merge" else 12)


# -- faults -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method, kind", [
    ("jobs.insert", "error"), ("jobs.insert", "lost"), ("jobs.insert", "reset"), ("jobs.upload", "error"), ("jobs.upload", "reset"),
    ("jobs.uploadChunk", "error"), ("jobs.uploadChunk", "lost"), ("jobs.uploadChunk", "reset"), ("jobs.get", "error"),
    ("jobs.getQueryResults", "reset"), ("tables.insert", "lost"), ("datasets.insert", "lost"), ("query", "job"), ("load", "job"),
])
def test_failures_that_pass_lose_and_double_nothing(method, kind, database, project, warehouse, bigquery):
    make_orders(database, 60)
    configure(project, database, warehouse, INCREMENT, APPEND)
    bigquery.fault(method, kind, calls=[1, 2], status=503, reason="backendError", message="try again")
    assert project.load().counts() == (60, 60, 0, 0)
    bigquery.fault(method, kind, calls=[1, 3], status=503, reason="backendError", message="try again")
    add_orders(database, 10)
    assert project.load().counts()[1] == 10
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert not warehouse.staging()


QUICK = {"retries": {"max": 5, "delay": "1s", "backoff": 1}}


def test_update_conflicts_are_tried_again(database, project, warehouse, bigquery):
    make_orders(database, 60)
    configure(project, database, warehouse, INCREMENT, MERGE)
    project.load()
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp()")
    bigquery.fault("query", "job", calls=[1, 2], contains="BEGIN TRANSACTION", reason="invalidQuery",
                   message="Transaction is aborted due to concurrent update against table stand-in:shop.orders. Transaction ID: x")
    assert project.load().counts() == (60, 60, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())
    commits = [job for job in warehouse.client.list_jobs() if job.job_type == "query" and "MERGE INTO" in job.query]
    assert len(commits) == 3


def test_a_commit_that_says_it_failed_and_did_not(database, project, warehouse, bigquery):
    make_orders(database, 60)
    configure(project, database, warehouse, INCREMENT, APPEND, **QUICK)
    bigquery.fault("query", "job_lost", calls=[1], contains="BEGIN TRANSACTION")
    assert project.load().counts() == (60, 60, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert warehouse.batches() == [(1, 60, 60, 0, 0)]


def test_a_commit_that_a_killed_run_left_running(database, project, warehouse, bigquery):
    """The next run asks for the same batch, finds the job, waits for it, and goes on from what it committed."""
    make_orders(database, 60)
    configure(project, database, warehouse, INCREMENT, APPEND, **QUICK)
    bigquery.fault("COMMIT_TRANSACTION", "statement", calls=[1], seconds=5)
    killed = project.start("run", "--all")
    wait_until(lambda: any(job.job_type == "query" and "BEGIN TRANSACTION" in job.query for job in warehouse.client.list_jobs()))
    killed.signal(signal.SIGKILL)
    killed.wait()
    report = project.load()
    assert report.run()["attempts"] == 2
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert warehouse.batches()[0] == (1, 60, 60, 0, 0)


def test_interrupted_while_a_job_runs(database, project, warehouse, bigquery):
    make_orders(database, 60)
    configure(project, database, warehouse, INCREMENT, APPEND)
    bigquery.fault("COMMIT_TRANSACTION", "statement", calls=[1], seconds=5)
    running = project.start("run", "--all")
    wait_until(lambda: any(job.job_type == "query" and "BEGIN TRANSACTION" in job.query for job in warehouse.client.list_jobs()))
    running.signal(signal.SIGINT)
    assert running.wait().code == 130
    time.sleep(5)
    project.load()
    assert_equal_rows(orders_of(database), warehouse.orders())


def wait_until(condition, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


@pytest.mark.parametrize("target", [APPEND, HISTORY], ids=["append", "history"])
def test_metadata_that_lags_is_waited_out(target, database, project, warehouse, bigquery):
    make_orders(database, 30)
    configure(project, database, warehouse, INCREMENT, target)
    bigquery.lag(create=1, get=3, load=1, write=1)
    project.load()
    add_orders(database, 5)
    project.load()
    database.execute("ALTER TABLE orders ADD COLUMN extra text")
    add_orders(database, 5)
    database.execute("UPDATE orders SET extra = 'e' WHERE id > 35")
    project.load()
    bigquery.lag()
    time.sleep(3)
    current = "_penstock_valid_to IS NULL" if target is HISTORY else "TRUE"
    assert_equal_rows(orders_of(database), warehouse.orders(current))
    assert warehouse.value(f"SELECT COUNT(*) FROM shop.orders WHERE extra = 'e' AND {current}") == 5


POINTS = ["target_schema_before", "target_stage_before", "target_publish_during", "target_stage_after", "target_merge_after",
          "target_commit_before", "target_commit_after", "source_confirm_before"]


@pytest.mark.parametrize("target, point", [(APPEND, point) for point in POINTS] + [(MERGE, "target_stage_after"), (MERGE, "target_commit_after")])
def test_killed_anywhere_and_run_again(target, point, database, project, warehouse):
    make_orders(database, 40)
    configure(project, database, warehouse, INCREMENT, target)
    for rows in (0, 10):
        if rows:
            add_orders(database, rows)
        killed = project.run("run", "--all", env={"PENSTOCK_FAILPOINT": f"{point}=kill"}, expect=None)
        assert killed.code == -signal.SIGKILL, killed
        project.load()
        assert_equal_rows(orders_of(database), warehouse.orders())
    assert not warehouse.staging()


def test_a_query_that_is_too_expensive_is_not_begun(database, project, warehouse, bigquery):
    make_orders(database, 2000)
    configure(project, database, warehouse, WHOLE, REPLACE)
    first = project.load().run()
    assert first["bytes_billed"] == bigquery.stats()["billed_bytes"] > 0
    billed = bigquery.stats()["billed_bytes"]
    configure(project, database, warehouse, WHOLE, REPLACE, {"max_bytes_billed": "1KiB"})
    report = project.load(expect=4)
    assert report.error["code"] == "budget_exceeded" and report.run()["status"] == "stopped"
    assert bigquery.stats()["billed_bytes"] == billed and report.run()["bytes_billed"] == 0
    assert len(warehouse.orders()) == 2000


def test_a_budget_ends_the_run_before_the_commit(database, project, warehouse, bigquery):
    make_orders(database, 100)
    configure(project, database, warehouse, INCREMENT, MERGE)
    first = project.load().run()
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp()")
    before = warehouse.orders()
    # Enough to read the checkpoints, not for the merge.
    configure(project, database, warehouse, INCREMENT, MERGE, budget={"max_bytes_billed": "25MiB"})
    report = project.load(expect=4)
    assert report.error["code"] == "budget_exceeded" and "commit the rows" in report.error["message"]
    assert report.run()["bytes_billed"] <= 25 << 20
    assert warehouse.orders() == before and not warehouse.staging()
    configure(project, database, warehouse, INCREMENT, MERGE, budget={"max_bytes_billed": "1GiB"})
    assert project.load().counts() == (100, 100, 0, 0)
    assert first["bytes_billed"] > 0


# -- who asks ---------------------------------------------------------------------------------------------------------
ACCOUNT = "loader@stand-in.iam.gserviceaccount.com"


@pytest.fixture
def guarded(bigquery):
    """Nobody gets in without a token."""
    yield bigquery
    bigquery.reset()


def key_file(project, server, name="key.json", **account) -> str:
    project.write(json.dumps(server.account(account.pop("email", ACCOUNT), **account)), name)
    return name


def test_a_service_account_and_a_token_that_ends(database, project, warehouse, guarded):
    make_orders(database, 50)
    key = key_file(project, guarded, projects=["stand-in"])
    guarded.auth(required=True, lifetime=3)
    configure(project, database, warehouse, WHOLE, REPLACE, {"credentials": key})
    assert project.load().counts() == (50, 50, 0, 0)
    output = project.run("doctor", "bq")
    assert ACCOUNT in output.both
    secret = json.loads((project.folder / key).read_text())["private_key"]
    assert secret[100:140] not in project.run("run", "--all", "--log-level", "debug").both
    guarded.auth(required=False)
    assert len(warehouse.orders()) == 50


def test_the_token_service_fails_for_a_moment(database, project, warehouse, guarded):
    make_orders(database, 10)
    key = key_file(project, guarded, projects=["stand-in"])
    guarded.auth(required=True)
    guarded.fault("token", "error", calls=[1], status=503)
    configure(project, database, warehouse, WHOLE, REPLACE, {"credentials": key})
    assert project.load().counts() == (10, 10, 0, 0)
    guarded.auth(required=False)


def test_an_account_without_the_right_is_told_what_it_lacks(database, project, warehouse, guarded):
    make_orders(database, 10)
    key = key_file(project, guarded, email="nobody@stand-in.iam.gserviceaccount.com", projects=[])
    guarded.auth(required=True)
    configure(project, database, warehouse, WHOLE, REPLACE, {"credentials": key})
    report = project.load(expect=1)
    assert report.error["code"].startswith("bigquery_") and "roles/bigquery" in report.error["hint"]
    assert report.run()["attempts"] == 1
    guarded.auth(required=False)


def test_an_account_that_acts_as_another(database, project, warehouse, guarded):
    make_orders(database, 10)
    guarded.account(ACCOUNT, projects=["stand-in"])
    caller = guarded.account("caller@stand-in.iam.gserviceaccount.com", impersonates=[ACCOUNT], projects=[])
    url = f"{guarded.endpoint}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
    project.write(json.dumps({"type": "impersonated_service_account", "source_credentials": caller, "service_account_impersonation_url": url}), "as.json")
    guarded.auth(required=True)
    configure(project, database, warehouse, WHOLE, REPLACE, {"credentials": "as.json"})
    assert project.load().counts() == (10, 10, 0, 0)
    assert ACCOUNT in project.run("doctor", "bq").both
    guarded.auth(required=False)


def test_credentials_that_are_not_there(database, project, warehouse):
    make_orders(database, 1)
    configure(project, database, warehouse, WHOLE, REPLACE, {"credentials": "missing.json"})
    assert "missing.json" in project.run("run", "--all", expect=2).both


def test_plan_doctor_and_status_read_only(database, project, warehouse):
    make_orders(database, 20)
    configure(project, database, warehouse, INCREMENT, MERGE)
    plan = project.run("plan").both
    assert "CREATE TABLE" in plan and "shop.orders" in plan
    assert not list(warehouse.client.list_datasets())
    assert "stand-in" in project.run("doctor", "bq").both
    project.load()
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp()")
    plan = project.run("plan").both
    assert "MERGE INTO" in plan
    priced = float(re.search(r"bills about ([0-9.]+) MiB", plan)[1]) * 2**20
    billed = project.load().run()["bytes_billed"]
    assert 0.9 * billed <= priced <= 1.1 * billed
    status = json.loads(project.run("status", "--output", "json").out)["pipelines"][0]
    assert status["tables"][0]["target"] == "shop.orders"
