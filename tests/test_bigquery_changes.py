"""Change data capture into BigQuery (the strict stand-in): after every drain, source and target are equal row by row."""

import json
import signal
import time

import pytest

from support.changes import SCHEMA, TABLES, Workload, assert_mirrored, capture, drop_slots, warehouse_rows
from test_bigquery import Warehouse, wait_until


@pytest.fixture
def warehouse(bigquery):
    made = Warehouse(bigquery)
    yield made
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    made.client.close()


@pytest.fixture
def shop(database):
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


def follow_up(shop, project, warehouse, **options):
    """The shop captured into the warehouse; arrays as JSON, which keeps their NULLs."""
    target = {"connection": "bq", "dataset": "shop", **options.pop("target", {})}
    return capture(shop, project, target=target, connections=warehouse.connection(), settings={"array_nulls": "json", "retries": {"max": 0}}, **options)


def assert_equal(shop, warehouse, tables=TABLES, where="TRUE"):
    assert_mirrored(shop, warehouse, tables=tables, where=where, rows=warehouse_rows)


HISTORY_NOW = "_penstock_valid_to IS NULL AND NOT _penstock_deleted"


def test_snapshot_then_changes(shop, project, warehouse):
    follow_up(shop, project, warehouse)
    first = project.load().run()
    assert first["status"] == "success" and first["rows_read"] == 730
    assert_equal(shop, warehouse)
    shop.execute("UPDATE customers SET balance = 0 WHERE id = 7; DELETE FROM customers WHERE id = 8; INSERT INTO customers VALUES (9000, 'x', 1)")
    second = project.load().run()
    assert (second["rows_read"], second["rows_written"], second["rows_deleted"]) == (3, 3, 1)
    assert_equal(shop, warehouse)
    assert project.load().run()["rows_read"] == 0
    assert warehouse.rows("SELECT COUNT(*) FROM shop.customers WHERE _penstock_synced_at IS NULL OR _penstock_position IS NULL") == [(0,)]
    assert not warehouse.staging()


@pytest.mark.parametrize("target, where", [({}, "TRUE"), ({"deletes": "soft"}, "NOT _penstock_deleted"), ({"mode": "history"}, HISTORY_NOW)],
                         ids=["hard", "soft", "history"])
def test_mixed_workload(shop, project, warehouse, target, where):
    follow_up(shop, project, warehouse, target=target)
    work = Workload(shop, 7)
    project.load()
    for _ in range(3):
        work.run(40)
        project.load(timeout=150)
        assert_equal(shop, warehouse, where=where)
    assert not warehouse.staging() and not warehouse.rows("SELECT * FROM penstock.rejects")


@pytest.mark.parametrize("target, alive", [({"deletes": "soft"}, "NOT _penstock_deleted"), ({"mode": "history"}, "_penstock_valid_to IS NULL")], ids=["soft", "history"])
def test_the_target_is_what_duckdb_has(shop, project, warehouse, target, alive):
    """Deleted rows and all versions as well: the same stream twice, once into either system."""
    follow_up(shop, project, warehouse, target=target)
    kept = read_configuration(project)
    mirror = json.loads(json.dumps(kept["pipelines"]["p"]))
    mirror["source"]["changes"]["slot"] = f"other_{shop.name}"
    mirror["target"] = {"connection": "warehouse", "dataset": "main", "mode": "merge", **target}
    kept["connections"]["warehouse"] = {"type": "duckdb", "path": "warehouse.duckdb"}
    kept["pipelines"]["q"] = mirror
    project.config(**{name: value for name, value in kept.items() if name != "version"})
    work = Workload(shop, 31)
    project.run("run", "--all", timeout=150)
    for _ in range(2):
        work.run(20)
        shop.execute("UPDATE customers SET balance = balance + 1 WHERE id = 5; DELETE FROM customers WHERE id = 5; INSERT INTO customers VALUES (5, 'again', 0)")
        project.run("run", "--all", timeout=150)
    ended = ", UNIX_MICROS(_penstock_valid_to)" if "mode" in target else ""
    for table, columns in (("customers", "id, name, balance"), ("notes", "title, body, picture"), ("logs", "line, level"), ("parts", "id, value")):
        ours = warehouse.rows(f"SELECT {columns}, COALESCE(_penstock_deleted, FALSE){ended} FROM shop.{table}")
        theirs = project.duck(f"SELECT {columns}, _penstock_deleted{ended.replace('UNIX_MICROS', 'epoch_us')} FROM {table}")
        assert sorted(ours, key=repr) == sorted(theirs, key=repr), table
        assert warehouse.value(f"SELECT COUNT(*) FROM shop.{table} WHERE NOT ({alive})") > 0 or table == "parts"


def read_configuration(project) -> dict:
    return json.loads((project.folder / "penstock.yaml").read_text())


@pytest.mark.parametrize("target, where", [({}, "TRUE"), ({"deletes": "soft"}, "NOT _penstock_deleted"), ({"mode": "history"}, HISTORY_NOW)],
                         ids=["hard", "soft", "history"])
def test_tables_are_read_anew(shop, project, warehouse, target, where):
    """What the stream did not tell: the rows as they are now replace, mark or close what the target has."""
    tables = ["customers", "logs"]
    follow_up(shop, project, warehouse, tables=tables, target=target)
    project.load()
    warehouse.client.query("UPDATE shop.customers SET name = 'by hand' WHERE id < 4; DELETE FROM shop.customers WHERE id = 9;"
                           "DELETE FROM shop.logs WHERE level = 1").result()
    shop.execute("DELETE FROM customers WHERE id = 5; UPDATE logs SET line = 'x' WHERE level = 2; INSERT INTO logs SELECT now(), 'twin', 7 FROM generate_series(1, 3)")
    project.load("--resnapshot", "customers", "--resnapshot", "logs")
    assert_equal(shop, warehouse, tables, where)
    shop.execute("UPDATE customers SET name = 'after' WHERE id < 10; DELETE FROM logs WHERE ctid = (SELECT min(ctid) FROM logs WHERE level = 7)")
    project.load()
    assert_equal(shop, warehouse, tables, where)
    if target:
        assert warehouse.value("SELECT COUNT(*) FROM shop.customers WHERE id = 5 AND _penstock_deleted") == 1
    shop.execute("TRUNCATE customers, logs")
    project.load("--resnapshot", "logs")
    assert_equal(shop, warehouse, tables, where)


def test_columns_and_tables_come_and_go(shop, project, warehouse):
    follow_up(shop, project, warehouse, tables=["customers", "orders"])
    project.load()
    shop.execute("ALTER TABLE customers ADD COLUMN note text; UPDATE customers SET note = 'n' || id WHERE id < 20;"
                 "ALTER TABLE orders ADD COLUMN points int DEFAULT 5; ALTER TABLE orders DROP COLUMN amount;"
                 "INSERT INTO orders VALUES ('new', 1, NULL, NULL, 7)")
    project.load()
    assert_equal(shop, warehouse, ["customers", "orders"])
    shop.execute("ALTER TABLE customers ALTER COLUMN balance TYPE numeric(30,12); UPDATE customers SET balance = balance / 7 WHERE id < 10")
    project.load()
    assert_equal(shop, warehouse, ["customers"])
    shop.execute("ALTER TABLE customers ALTER COLUMN note TYPE int USING length(note); UPDATE customers SET note = 3 WHERE id = 4")
    project.load()
    assert warehouse.value("SELECT note__v2 FROM shop.customers WHERE id = 4") == 3
    decisions = {row[0] for row in warehouse.rows("SELECT DISTINCT change FROM penstock.schema_registry")}
    assert {"table_created", "column_added", "column_dropped", "type_widened", "type_changed"} <= decisions


def test_a_new_table_joins(shop, project, warehouse):
    shop.execute("CREATE PUBLICATION pub FOR ALL TABLES")
    follow_up(shop, project, warehouse, tables=["customers", "public.order*"], publish=False)
    project.load()
    shop.execute("CREATE TABLE order_lines (id int PRIMARY KEY, text text); INSERT INTO order_lines SELECT i, 'l' || i FROM generate_series(1, 10) i;"
                 "UPDATE customers SET balance = 3")
    project.load()
    shop.execute("UPDATE order_lines SET text = 'changed' WHERE id = 3")
    project.load()
    assert_equal(shop, warehouse, ["customers", "orders", "order_lines"])


def test_values_that_bigquery_cannot_hold(database, project, warehouse):
    """A change is rejected, and so are later ones that left out what it had; the others go on."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, day date, body text); ALTER TABLE t ALTER COLUMN body SET STORAGE EXTERNAL;"
                     "CREATE TABLE k (day date, n int); ALTER TABLE k REPLICA IDENTITY FULL;"
                     "INSERT INTO t SELECT i, '2026-01-01', repeat(md5(i::text), 200) FROM generate_series(1, 5) i")
    try:
        capture(database, project, tables=["t", "k"], target={"connection": "bq", "dataset": "shop"}, connections=warehouse.connection(),
                settings={"on_reject": "continue"})
        project.load()
        database.execute("INSERT INTO t VALUES (6, '0044-03-15 BC', repeat(md5('6'), 200)), (7, 'today', NULL); UPDATE t SET day = '0044-03-15 BC' WHERE id = 1;"
                         "INSERT INTO k VALUES ('0044-03-15 BC', 1), ('2026-01-01', 2)")
        assert project.load().run()["rows_rejected"] == 3
        database.execute("UPDATE t SET day = '2026-02-02' WHERE id IN (1, 6); DELETE FROM k WHERE n = 1")
        last = project.load().run()
        assert (last["rows_rejected"], last["rows_written"], last["rows_filtered"]) == (1, 1, 1)
        assert warehouse.rows("SELECT id, CAST(day AS STRING) FROM shop.t WHERE id IN (1, 6)") == [(1, "2026-02-02")]
        assert warehouse.rows("SELECT code, COUNT(*) FROM penstock.rejects GROUP BY code ORDER BY code") == [("date_out_of_range", 3), ("unsent_value", 1)]
        assert warehouse.rows("SELECT n FROM shop.k") == [(2,)]
    finally:
        drop_slots(database)


@pytest.mark.parametrize("target, where, rows", [({}, "TRUE", 3), ({"deletes": "soft"}, "NOT _penstock_deleted", 4), ({"mode": "history"}, HISTORY_NOW, 8)],
                         ids=["hard", "soft", "history"])
def test_keys_that_are_nan(database, project, warehouse, target, where, rows):
    database.execute("CREATE TABLE levels (level float8 PRIMARY KEY, note text, body text); ALTER TABLE levels ALTER COLUMN body SET STORAGE EXTERNAL;"
                     "INSERT INTO levels SELECT level, 'a', repeat(md5(level::text), 200) FROM unnest('{NaN,0,0.1,-Infinity}'::float8[]) level")
    try:
        follow_up(database, project, warehouse, tables=["levels"], target=target)
        project.load()
        database.execute("UPDATE levels SET note = 'b'")
        project.load()
        assert_equal(database, warehouse, ["levels"], where)
        database.execute("DELETE FROM levels WHERE level = 'NaN'")
        project.load()
        assert_equal(database, warehouse, ["levels"], where)
        assert warehouse.value("SELECT COUNT(*) FROM shop.levels") == rows
        assert not warehouse.rows("SELECT * FROM penstock.rejects")
    finally:
        drop_slots(database)


def test_a_merge_reads_the_partitions_it_must(shop, project, warehouse):
    follow_up(shop, project, warehouse, tables=["parts"], target={"partition_by": "day"})
    project.load()
    assert warehouse.client.get_table("shop.parts").time_partitioning.field == "day"
    shop.execute("UPDATE parts SET value = 1 WHERE day = '2026-01-10'; DELETE FROM parts WHERE day = '2026-01-12'; UPDATE parts SET day = '2026-02-20' WHERE day = '2026-01-11'")
    project.load()
    assert_equal(shop, warehouse, ["parts"])
    merges = [job.query for job in warehouse.client.list_jobs(all_users=True) if job.job_type == "query" and "MERGE INTO" in job.query]
    assert merges and all("BETWEEN DATE '2026-01-10' AND DATE '2026-02-20'" in sql for sql in merges)


def test_one_large_transaction(shop, project, warehouse):
    follow_up(shop, project, warehouse, tables=["customers"])
    project.load()
    shop.execute("INSERT INTO customers SELECT i, repeat('x', 200), 1 FROM generate_series(10000, 109999) i; UPDATE customers SET balance = 2; DELETE FROM customers WHERE id % 10 = 1")
    run = project.load().run()
    assert run["rows_read"] > 200_000 and run["peak_memory_bytes"] < 600 << 20
    wanted = shop.rows("SELECT count(*), sum(id), sum(balance) FROM customers")
    assert warehouse.rows("SELECT COUNT(*), SUM(id), SUM(balance) FROM shop.customers") == wanted


# -- faults -----------------------------------------------------------------------------------------------------------
POINTS = ["slot_create_before", "slot_create_after", "source_snapshot_after", "source_read_during", "changes_stream_before", "changes_receive_after",
          "target_open_after", "target_schema_before", "target_stage_before", "target_publish_during", "target_cleanup_before", "target_stage_after", "target_merge_after",
          "target_commit_before", "target_commit_after", "source_confirm_before"]


@pytest.mark.parametrize("target, where", [({}, "TRUE"), ({"mode": "history"}, HISTORY_NOW)], ids=["mirror", "history"])
def test_killed_at_every_point(shop, project, warehouse, target, where):
    """One project lives through a kill at each point, in the snapshot and in the stream; its targets are whole whenever a run ends."""
    tables = ["customers", "notes", "logs"]
    follow_up(shop, project, warehouse, tables=tables, target=target)
    work, died = Workload(shop, 5), set()
    for point in POINTS + POINTS:
        code = project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"}).code
        died |= {point} if code == -signal.SIGKILL else set()
        work.run(4)
    project.load()
    assert_equal(shop, warehouse, tables, where)
    assert died == set(POINTS)
    assert not warehouse.staging()
    batches = warehouse.rows("SELECT `table`, batch, COUNT(*) FROM penstock.pipeline_metadata GROUP BY 1, 2 HAVING COUNT(*) > 1")
    assert not batches, "a batch was committed twice"


def test_answers_that_are_lost_and_failures_that_pass(shop, project, warehouse, bigquery):
    follow_up(shop, project, warehouse, tables=["customers", "notes"])
    read = read_configuration(project)
    read["pipelines"]["p"]["retries"] = {"max": 5, "delay": "200ms", "backoff": 1}
    project.config(**{name: value for name, value in read.items() if name != "version"})
    work = Workload(shop, 9)
    for faults in ([("query", "job_lost", {"calls": [1], "contains": "BEGIN TRANSACTION"})],
                   [(method, kind, {"calls": [1, 3], "status": 503, "reason": "backendError", "message": "try again"}) for method, kind in
                    (("jobs.insert", "lost"), ("jobs.uploadChunk", "lost"), ("jobs.get", "error"), ("tables.insert", "lost"), ("query", "job"), ("load", "job"))],
                   [("query", "job", {"calls": [1, 2], "contains": "BEGIN TRANSACTION", "reason": "invalidQuery",
                                      "message": "Transaction is aborted due to concurrent update against table stand-in:shop.customers. Transaction ID: x"})],
                   [("query", "job_lost", {"calls": [1], "contains": "BEGIN TRANSACTION"})]):
        for method, kind, more in faults:
            bigquery.fault(method, kind, **more)
        project.load()
        bigquery.clear_faults()
        assert_equal(shop, warehouse, ["customers", "notes"])
        work.run(12)
    assert warehouse.value("SELECT COUNT(*) - COUNT(DISTINCT batch) FROM penstock.pipeline_metadata WHERE `table` = '(stream)'") == 0


def test_a_commit_that_a_killed_run_left_running(shop, project, warehouse, bigquery):
    """The next run, whose first transactions are more, asks for the same number, finds the job and goes on behind it."""
    follow_up(shop, project, warehouse, tables=["customers", "logs"])
    project.load()
    read = read_configuration(project)
    read["pipelines"]["p"]["retries"] = {"max": 5, "delay": "200ms", "backoff": 1}
    project.config(**{name: value for name, value in read.items() if name != "version"})
    shop.execute("INSERT INTO logs SELECT now(), 'once', 1 FROM generate_series(1, 10)")
    bigquery.fault("COMMIT_TRANSACTION", "statement", calls=[1], seconds=4)
    before = sum(job.job_type == "query" and "BEGIN TRANSACTION" in job.query for job in warehouse.client.list_jobs())
    killed = project.start("run", "--all")
    wait_until(lambda: sum(job.job_type == "query" and "BEGIN TRANSACTION" in job.query for job in warehouse.client.list_jobs()) > before)
    killed.signal(signal.SIGKILL)
    killed.wait()
    shop.execute("UPDATE customers SET balance = 7")
    project.load()
    assert_equal(shop, warehouse, ["customers", "logs"])


def test_metadata_that_lags(shop, project, warehouse, bigquery):
    follow_up(shop, project, warehouse, tables=["customers"])
    bigquery.lag(create=1, get=3, load=1, write=1)
    project.load()
    shop.execute("ALTER TABLE customers ADD COLUMN extra text; UPDATE customers SET extra = 'e' WHERE id < 10")
    project.load()
    shop.execute("UPDATE customers SET extra = 'f' WHERE id < 5")
    project.load()
    bigquery.lag()
    time.sleep(3)
    assert_equal(shop, warehouse, ["customers"])


def test_following_commits_no_oftener_than_asked(shop, project, warehouse):
    follow_up(shop, project, warehouse, tables=["customers"], target={"commit_every": "4s"})
    project.load()
    commits = "SELECT UNIX_MICROS(committed_at) FROM penstock.pipeline_metadata WHERE `table` = '(stream)' ORDER BY batch"
    before, number = len(warehouse.rows(commits)), 0
    running = project.start("run", "--all", "--follow")
    try:
        until = time.monotonic() + 60
        while len(warehouse.rows(commits)) < before + 3:
            assert time.monotonic() < until, "changes wait for ever"
            number += 1
            shop.execute("UPDATE customers SET balance = %s WHERE id = 1", [number])
            time.sleep(0.1)
        moments = [at for (at,) in warehouse.rows(commits)][before:]
        assert all(later - earlier >= 4_000_000 for earlier, later in zip(moments, moments[1:])), moments
    finally:
        running.signal(signal.SIGTERM)
        assert running.wait(30).code == 130
    project.load()
    assert_equal(shop, warehouse, ["customers"])


def test_plan_shows_what_a_commit_does(shop, project, warehouse):
    follow_up(shop, project, warehouse, tables=["customers", "logs"])
    assert "CREATE TABLE" in project.run("plan").out
    project.load()
    shown = project.run("plan").out
    assert "MERGE INTO" in shown and "bills about" in shown
