"""Captured tables as they come, go and are read anew, one by one, while the others stream on."""

import json
import signal
import time

import duckdb
import pytest

from support.changes import SCHEMA, TABLES, Workload, assert_mirrored, capture, drop_slots
from support.postgres import LOADER


@pytest.fixture
def shop(database):
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


def stream(project):
    """The stream's own checkpoint."""
    rows = project.duck("SELECT position FROM penstock.pipeline_metadata WHERE \"table\" = '(stream)'")
    assert len(rows) == 1, rows
    return json.loads(rows[0][0])


def write(project, sql):
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute(sql)


def slot_count(shop):
    return shop.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")


def test_the_stream_has_a_checkpoint_of_its_own(shop, project):
    slot = capture(shop, project, tables=["customers", "orders"])
    project.load()
    shop.execute("UPDATE orders SET amount = 1 WHERE number = 1")
    project.load()
    newest = stream(project)
    assert sorted(newest["tables"]) == ["public.customers", "public.orders"] and not newest["unread"] and not newest["aside"]
    # The table with the newest checkpoint of all goes: the slot is still ours.
    capture(shop, project, tables=["customers"], publish=False)
    shop.execute("UPDATE customers SET balance = 5 WHERE id = 5")
    assert project.load().run()["rows_read"] == 1
    assert_mirrored(shop, project, ["customers"])
    # What is not ours moves the checkpoint on too, and no table's.
    before = project.duck("SELECT \"table\", max(batch) FROM penstock.pipeline_metadata WHERE \"table\" <> '(stream)' GROUP BY 1 ORDER BY 1")
    shop.execute("CREATE TABLE unpublished AS SELECT i FROM generate_series(1, 1000) i")
    position = shop.value("SELECT pg_current_wal_lsn()")
    project.load()
    assert shop.value("SELECT %s::pg_lsn <= %s::pg_lsn", [position, stream(project)["lsn"]])
    assert shop.value("SELECT confirmed_flush_lsn = %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s", [stream(project)["lsn"], slot])
    assert before == project.duck("SELECT \"table\", max(batch) FROM penstock.pipeline_metadata WHERE \"table\" <> '(stream)' GROUP BY 1 ORDER BY 1")


def test_a_target_dropped_by_hand_is_read_again(shop, project):
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    shop.execute("UPDATE orders SET amount = 1 WHERE number = 1")
    project.load()
    write(project, "DROP TABLE orders")
    shop.execute("UPDATE orders SET amount = 2 WHERE number = 2; UPDATE customers SET balance = 2 WHERE id = 2")
    assert project.load().run()["rows_read"] == 301
    assert_mirrored(shop, project, ["customers", "orders"])


def test_older_checkpoints_still_work(shop, project):
    """Those of a version that kept none of the stream."""
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    write(project, "DELETE FROM penstock.pipeline_metadata WHERE \"table\" = '(stream)'")
    shop.execute("UPDATE orders SET amount = 2 WHERE number = 2")
    assert project.load().run()["rows_read"] == 1
    assert_mirrored(shop, project, ["customers", "orders"])
    assert stream(project)["lsn"]


def test_a_slot_that_was_moved_is_still_refused(shop, project):
    slot = capture(shop, project, tables=["customers", "orders"])
    project.load()
    write(project, "DROP TABLE customers")
    shop.execute("UPDATE orders SET amount = 3")
    shop.execute("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [slot])
    assert project.load(expect=1).error["code"] in ("slot_advanced", "slot_recreated")


@pytest.mark.parametrize("target", [{}, {"deletes": "soft"}, {"mode": "history"}])
def test_one_table_by_hand(shop, project, target):
    capture(shop, project, tables=["customers", "orders", "logs"], target=target, mode=target.get("mode", "merge"))
    project.load()
    shop.execute("UPDATE customers SET balance = 1 WHERE id = 1; DELETE FROM customers WHERE id = 2; DELETE FROM orders WHERE number = 2")
    project.load()
    # Rows that the stream did not bring: the target is not what it was.
    write(project, "UPDATE customers SET name = 'spoilt' WHERE id = 7; DELETE FROM customers WHERE id = 8;"
                  "INSERT INTO customers (id, name) VALUES (-1, 'never there'); DELETE FROM logs WHERE level = 1; INSERT INTO logs (line, level) VALUES ('never there', 9)")
    shop.execute("UPDATE orders SET amount = 9 WHERE number = 9; UPDATE customers SET balance = 9 WHERE id = 9; DELETE FROM logs WHERE level = 2 AND line < 'line 3'")
    run = project.load("--resnapshot", "customers", "--resnapshot", "public.logs").run()
    alive = {"soft": "NOT _penstock_deleted"}.get(target.get("deletes"), "true")
    alive = "_penstock_valid_to IS NULL" if "mode" in target else alive
    assert_mirrored(shop, project, ["customers", "orders", "logs"], where=alive)
    counts = {table["table"]: table["rows_read"] for table in run["tables"]}
    assert counts["public.customers"] == 199 and counts["public.orders"] == 1
    if target:
        assert project.duck("SELECT bool_and(_penstock_deleted) FROM customers WHERE id IN (2, -1)") == [(True,)]
    if "mode" in target:
        versions = project.duck("SELECT id, count(*) FROM customers WHERE id IN (1, 3, 7, 8, 9) GROUP BY 1 ORDER BY 1")
        assert versions == [(1, 2), (3, 1), (7, 2), (8, 1), (9, 2)], "only rows that differ have new versions"
    shop.execute("UPDATE customers SET balance = balance + 1 WHERE id < 12; INSERT INTO logs VALUES (now(), 'after', 3)")
    project.load()
    assert_mirrored(shop, project, ["customers", "orders", "logs"], where=alive)
    assert slot_count(shop) == 1 and not project.staging_left() and stream(project)["unread"] == {}


def test_an_empty_table_read_anew(shop, project):
    capture(shop, project, tables=["customers"], target={"deletes": "soft"})
    project.load()
    shop.execute("DELETE FROM customers")
    project.load("--resnapshot", "customers")
    assert project.duck("SELECT count(*), count(*) FILTER (_penstock_deleted) FROM customers") == [(200, 200)]
    shop.execute("INSERT INTO customers VALUES (1, 'back', 1)")
    project.load()
    assert_mirrored(shop, project, ["customers"], where="NOT _penstock_deleted")


def test_which_table_is_meant(shop, project):
    capture(shop, project, tables=["customers"])
    wrong = project.load("--resnapshot", "custmers", expect=2)
    assert wrong.error["code"] == "no_such_table" and "customers" in wrong.error["hint"], wrong.output
    assert "--full-refresh" in project.run("run", "--all", "--resnapshot", "customers", "--full-refresh", expect=2).both


@pytest.mark.parametrize("failpoint", ["slot_create_after", "source_snapshot_after", "source_read_during", "target_stage_after", "target_merge_after",
                                       "target_commit_before", "target_commit_after", "changes_stream_before", "source_confirm_before"])
@pytest.mark.parametrize("mode", ["merge", "history"])
def test_killed_while_one_table_is_read_anew(shop, project, mode, failpoint):
    capture(shop, project, tables=["customers", "orders"], mode=mode)
    project.load()
    shop.execute("UPDATE orders SET amount = 3; UPDATE customers SET balance = 4 WHERE id = 4; ALTER TABLE customers ALTER COLUMN balance TYPE int; UPDATE customers SET balance = 5 WHERE id = 5")
    for visit in (1, 2, 3):
        project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{visit}=kill"})
        shop.execute("UPDATE orders SET amount = amount + 1; UPDATE customers SET balance = balance + 1 WHERE id < 9; DELETE FROM customers WHERE id = %s" % (100 + visit))
    project.load()
    assert_current(shop, project, mode)
    assert slot_count(shop) == 1 and not project.staging_left()


def assert_current(shop, project, mode):
    """In history a changed type has a column of its own."""
    newest = [name for (name,) in project.duck("SELECT column_name FROM duckdb_columns() WHERE table_name = 'customers' AND column_name LIKE 'balance%' ORDER BY 1")][-1]
    where = "_penstock_valid_to IS NULL" if mode == "history" else "true"
    assert project.duck(f"SELECT id, {newest} FROM customers WHERE {where} ORDER BY id") == shop.rows("SELECT id, balance FROM customers ORDER BY id")
    assert_mirrored(shop, project, ["orders"], where=where)


ALTERATIONS = {
    "type, changes waiting": "UPDATE customers SET balance = 2 WHERE id = 2; ALTER TABLE customers ALTER COLUMN balance TYPE text USING balance || ' EUR'; UPDATE customers SET balance = '3 EUR' WHERE id = 3",
    "type, none waiting": "ALTER TABLE customers ALTER COLUMN balance TYPE text USING balance || ' EUR'",
    "scale": "ALTER TABLE customers ALTER COLUMN balance TYPE numeric(12,0)",
    "volatile default": "UPDATE customers SET balance = 2 WHERE id = 2; ALTER TABLE customers ADD COLUMN lucky float8 DEFAULT random(); UPDATE customers SET balance = 3 WHERE id = 3",
    "volatile default, none waiting": "ALTER TABLE customers ADD COLUMN lucky float8 DEFAULT random()",
    "identity": "UPDATE customers SET balance = 2 WHERE id = 2; UPDATE customers SET joined = joined + id * interval '1 s'; ALTER TABLE customers ALTER joined SET NOT NULL; ALTER TABLE customers DROP CONSTRAINT customers_pkey;"
                "ALTER TABLE customers ADD PRIMARY KEY (joined); DELETE FROM customers WHERE id = 4",
    "dropped and added": "UPDATE customers SET name = 'waits' WHERE id = 2; ALTER TABLE customers DROP COLUMN joined; ALTER TABLE customers ADD COLUMN since timestamptz; UPDATE customers SET balance = 3 WHERE id = 3",
    "made anew": "DROP TABLE customers; CREATE TABLE customers (id int PRIMARY KEY, name text); ALTER PUBLICATION pub ADD TABLE customers; INSERT INTO customers VALUES (1, 'other')",
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_one_table_of_its_own_accord(shop, project, what):
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    before = project.duck("SELECT min(_penstock_synced_at) FROM orders")
    shop.execute(ALTERATIONS[what])
    shop.execute("UPDATE orders SET amount = 7 WHERE number = 7")
    report = project.load()
    assert "public.customers is read anew" in report.output.both and report.run()["attempts"] == 1, report.output
    assert_mirrored(shop, project, ["customers", "orders"])
    assert before == project.duck("SELECT min(_penstock_synced_at) FROM orders"), "the other table keeps its rows"
    shop.execute("UPDATE customers SET name = 'later' WHERE id = 1")
    report = project.load()
    assert report.run()["rows_read"] == 1 and "read anew" not in report.output.both
    assert_mirrored(shop, project, ["customers", "orders"])


@pytest.mark.parametrize("what", ["type, changes waiting", "volatile default, none waiting", "made anew"])
def test_unless_the_configuration_says_to_stop(shop, project, what):
    capture(shop, project, tables=["customers", "orders"], on_rewrite="stop")
    project.load()
    shop.execute(ALTERATIONS[what])
    refused = project.load(expect=1)
    assert refused.error["code"] in ("type_changed", "older_rows_unseen", "table_left_behind") and "--resnapshot public.customers" in refused.error["hint"], refused.output
    project.load("--resnapshot", "customers")
    assert_mirrored(shop, project, ["customers", "orders"])


@pytest.mark.parametrize("policy", ["freeze", "reject"])
def test_a_shape_that_the_target_must_not_take_stops_the_run(shop, project, policy):
    capture(shop, project, tables=["customers", "orders"], target={"schema_change": policy})
    project.load()
    rows = project.duck("SELECT count(*), sum(balance) FROM customers")
    shop.execute(ALTERATIONS["type, changes waiting"])
    refused = project.load(expect=1)
    assert refused.error["code"] == "schema_change_refused", refused.output
    assert project.duck("SELECT count(*) FROM customers") == [rows[0][:1]], "nothing was emptied"


def test_out_of_the_publication_for_a_while(shop, project):
    """Once it is back, nothing but what the run before has kept tells that it was out."""
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    shop.execute("ALTER PUBLICATION pub DROP TABLE customers; UPDATE customers SET balance = 4; DELETE FROM customers WHERE id = 9")
    refused = project.load(expect=1)
    assert "public.customers" in stream(project)["unread"], refused.output
    shop.execute("ALTER PUBLICATION pub ADD TABLE customers; UPDATE orders SET amount = 4 WHERE number = 4")
    report = project.load()
    assert "public.customers is read anew" in report.output.both
    assert_mirrored(shop, project, ["customers", "orders"])


def test_left_out_for_a_while(shop, project):
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    capture(shop, project, tables=["customers"], publish=False)
    shop.execute("UPDATE customers SET balance = 5 WHERE id = 5; UPDATE orders SET amount = 5 WHERE number = 5; DELETE FROM orders WHERE number = 6")
    project.load()
    capture(shop, project, tables=["customers", "orders"], publish=False)
    report = project.load()
    assert "public.orders is read anew" in report.output.both
    assert_mirrored(shop, project, ["customers", "orders"])


def test_history_of_a_table_read_anew_goes_on(shop, project):
    capture(shop, project, tables=["customers"], mode="history")
    project.load()
    work = Workload(shop, 11)
    for change in ("ALTER TABLE customers ADD COLUMN lucky float8 DEFAULT random()", "ALTER TABLE customers ALTER COLUMN name TYPE varchar(40)"):
        work.run(10)
        shop.execute(change)
        work.run(10)
        project.load()
        assert_mirrored(shop, project, ["customers"], where="_penstock_valid_to IS NULL")
    assert project.duck("SELECT id FROM customers GROUP BY id HAVING count(*) FILTER (WHERE _penstock_valid_to IS NULL) > 1") == []


def test_one_bad_table_is_set_aside(shop, project):
    shop.execute("CREATE TABLE times (id int PRIMARY KEY, d date); INSERT INTO times VALUES (1, '2026-01-01')")
    capture(shop, project, tables=["times", "customers", "orders"], on_table_error="set_aside", target={"schema_change": "reject"})
    project.load()
    shop.execute("ALTER TABLE times ADD COLUMN note text; UPDATE times SET note = 'x'; UPDATE customers SET balance = 8 WHERE id = 8")
    report = project.load()
    assert report.run()["status"] == "success" and "public.times is set aside" in report.output.both, report.output
    assert_mirrored(shop, project, ["customers", "orders"])
    assert list(stream(project)["aside"]) == ["public.times"] and "public.times" not in stream(project)["tables"]
    shop.execute("INSERT INTO times VALUES (2, '2026-01-02', 'lost otherwise'); UPDATE customers SET balance = 9 WHERE id = 9")
    report = project.load()
    assert report.run()["rows_read"] == 1 and "still set aside" in report.output.both
    assert_mirrored(shop, project, ["customers"])
    assert "public.times is set aside" in project.run("status").both
    project.pipeline(shop, {"changes": {"tables": ["public.times", "public.customers", "public.orders"], "publication": "pub", "slot": f"slot_{shop.name}", "create": True}},
                     {"dataset": "main", "mode": "merge"})
    project.load("--resnapshot", "times")
    assert_mirrored(shop, project, ["times", "customers", "orders"])
    shop.execute("UPDATE times SET note = 'y'")
    assert project.load().run()["rows_read"] == 2 and stream(project)["aside"] == {}
    assert_mirrored(shop, project, ["times"])


def test_a_table_with_rejects_is_set_aside(shop, project):
    shop.execute("CREATE TABLE times (id int PRIMARY KEY, n numeric(50,2)); INSERT INTO times VALUES (1, 1)")
    capture(shop, project, tables=["customers"], on_table_error="set_aside")
    project.load()
    shop.execute("UPDATE customers SET balance = 'NaN' WHERE id = 3; UPDATE customers SET balance = 4 WHERE id = 4")
    report = project.load()
    assert "public.customers is set aside" in report.output.both, report.output
    shop.execute("UPDATE customers SET balance = 3 WHERE id = 3")
    project.load("--resnapshot", "customers")
    assert_mirrored(shop, project, ["customers"])


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def followed(shop, project):
    """A write of a table that is captured already has been confirmed."""
    position = shop.value("SELECT pg_current_wal_lsn()")

    def confirmed():
        shop.execute("UPDATE customers SET balance = balance + 1 WHERE id = 1")
        return shop.value("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE database = current_database() AND NOT temporary", [position])
    wait_until(confirmed)


@pytest.mark.parametrize("publication", ["made by the pipeline", "for all tables"])
def test_new_tables_join_while_it_follows(shop, project, publication):
    ours = publication != "for all tables"
    with shop.server.admin(shop.name) as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {shop.name} TO {LOADER}")
        if not ours:
            admin.execute("CREATE PUBLICATION pub FOR ALL TABLES WITH (publish_via_partition_root = true)")
    own = "" if not ours else "".join(f"ALTER TABLE {table} OWNER TO {LOADER};" for table in TABLES)
    shop.execute(own or "SELECT 1")
    capture(shop, project, tables=["*"], publish=False, look_every="1s" if ours else "1h")
    project.load()
    assert_mirrored(shop, project)
    running = project.start("run", "--all", "--follow", "--output", "json")
    try:
        followed(shop, project)
        shop.execute("CREATE TABLE joiners (id int PRIMARY KEY, t text); INSERT INTO joiners SELECT i, 'at first' FROM generate_series(1, 50) i")
        shop.execute("CREATE TABLE nameless (a int)" + (f"; ALTER TABLE joiners OWNER TO {LOADER}" if ours else ""))
        for i in range(100, 120):
            shop.execute("INSERT INTO joiners VALUES (%s, 'then'); UPDATE joiners SET t = 'later' WHERE id = %s" % (i, i - 99))
            time.sleep(0.3)
        followed(shop, project)
        shop.execute("DROP TABLE parts")
        followed(shop, project)
    finally:
        running.signal(signal.SIGTERM)
        output = running.wait(30)
        print(output)
    assert output.code == 130, output
    assert "public.joiners is new and joins" in output.both and "public.nameless" in output.both and "cannot be captured" in output.both, output
    assert project.duck_value("SELECT count(*) FROM joiners WHERE t = 'later'") > 0, "it has joined while the run went on"
    shop.execute("DROP TABLE nameless")
    project.load()
    assert_mirrored(shop, project, ["customers", "orders", "joiners"])
    assert project.duck_value("SELECT count(*) FROM parts") == 120


def test_dropped_tables_stay_in_the_target(shop, project):
    capture(shop, project, tables=["*"], publish=False)
    shop.execute("CREATE PUBLICATION pub FOR TABLE customers, orders, notes, logs, parts WITH (publish_via_partition_root = true)")
    project.load()
    shop.execute("DROP TABLE orders; UPDATE customers SET balance = 1 WHERE id = 1")
    report = project.load()
    assert "public.orders was dropped from the source; its target stays" in report.output.both
    assert project.duck_value("SELECT count(*) FROM orders") == 300
    assert_mirrored(shop, project, ["customers"])
    assert "dropped" not in project.load().output.both


def test_a_table_that_cannot_be_captured_is_set_aside(shop, project):
    shop.execute("CREATE TABLE nameless (a int)")
    capture(shop, project, tables=["*"], publish=False, on_table_error="set_aside")
    shop.execute("CREATE PUBLICATION pub FOR TABLE customers, orders, notes, logs, parts WITH (publish_via_partition_root = true)")
    report = project.load()
    assert "public.nameless cannot be captured" in report.output.both
    assert_mirrored(shop, project)
    assert list(stream(project)["unfit"]) == ["public.nameless"] and "public.nameless cannot be captured" in project.run("status").both
    shop.execute("ALTER TABLE nameless ADD PRIMARY KEY (a); INSERT INTO nameless VALUES (7); ALTER PUBLICATION pub ADD TABLE nameless")
    project.load()
    assert_mirrored(shop, project, [*TABLES, "nameless"])
